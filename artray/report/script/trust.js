// How far to trust the labels: a sentence, a band, what is taken for what, and what a threshold costs.

/**
 * Of works that a model was tried on: how many are kept from a score on, and how many of those are right.
 *
 * @param {{score: (number | null)[], truth: number[][], said: number[][]}} tested
 * @param {number} least 0..1
 */
function keptFrom({ score, truth, said }, least) {
  let [kept, right] = [0, 0];
  score.forEach((value, at) => {
    if (value === null || value < least) return;
    kept += 1;
    right += Number(truth[at].length === said[at].length && truth[at].every((one) => said[at].includes(one)));
  });
  return { kept, right, all: score.length };
}

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {(evaluation: number, truth: number, said: number) => void} options.openCell
 */
function makeTrust({ works, openCell }) {
  const { data } = works;

  data.evaluations.forEach((evaluation, number) => {
    const panel = copyOf("panel");
    const find = (selector) => panel.querySelector(selector);
    const levels = Object.entries(evaluation.levels); // artwork before patch
    const [unit, level] = levels[0];
    find("h3").textContent = evaluation.heading;
    find(".accuracy").textContent = percent(level.accuracy);
    find(".of").textContent = say(evaluation.multilabel ? "right_in_all_labels" : "right_of", { n: level.n, what: say(unit === "artwork" ? "n_works" : "n_patches", { n: level.n }) });
    find(".verdict-words").textContent = verdict(evaluation, level);
    find(".verdict-words").classList.toggle("unsure", isDoubtful(evaluation, level));
    if (level.interval) find(".band").append(band(level, evaluation.majority_share));
    else find(".band").remove();
    find(".compared").append(
      ...levels.map(([name, { accuracy }]) => scoreBar("", say(name === "artwork" ? "this_model_by_work" : "this_model_by_patch"), accuracy)),
      ...(level.balanced_accuracy === null ? [] : [scoreBar("", say("every_label_alike"), level.balanced_accuracy)]),
      scoreBar("", say(evaluation.multilabel ? "always_the_same_labels" : "always_the_commonest"), evaluation.majority_share),
    );
    find(".model").textContent = say("model_named", { id: evaluation.model_id });
    find(".more").hidden = !evaluation.page;
    find(".more a").href = evaluation.page ?? "";
    find(".scroll").setAttribute("aria-label", say("confusion_of", { task: evaluation.heading }));
    find("details").open = evaluation.classes.length <= 8 && matchMedia("(min-width: 60rem)").matches;
    fillConfusion(find("table"), number);
    fillThreshold(find(".threshold"), evaluation);
    byId("panels").append(panel);
  });

  function isDoubtful({ doubt, majority_share: constant }, { accuracy, interval }) {
    return Boolean(doubt) || accuracy <= constant || Boolean(interval && interval[0] <= constant);
  }

  /** One sentence for people who are no statisticians. */
  function verdict(evaluation, { accuracy, interval }) {
    const { majority_share: constant, commonest } = evaluation;
    const other = commonest ? say("always_saying", { label: commonest }) : say("always_the_same_label");
    if (accuracy === null) return "";
    if (accuracy < constant) return say("verdict.worse", { other });
    if (evaluation.doubt || (interval && interval[0] <= constant)) return say("verdict.no_better", { other });
    const key = accuracy >= 0.9 ? "verdict.good" : accuracy >= 0.75 ? "verdict.useful" : "verdict.weak";
    return say(key, { right: Math.round(10 * accuracy), constant: Math.round(10 * (constant ?? 0)), other });
  }

  /** The interval of the share that is right, on a line from none to all, with what the simple answer reaches. */
  function band({ accuracy, interval }, constant) {
    const [low, high] = interval;
    const [left, right] = [4, 396];
    const at = (share) => left + (right - left) * share;
    const chart = svg("svg", { viewBox: "0 0 400 44", class: "band-chart", role: "img" });
    const told = say("band", { low: percent(low), high: percent(high), constant: percent(constant) });
    chart.setAttribute("aria-label", told);
    chart.append(
      svg("rect", { class: "rail", x: left, y: 12, width: right - left, height: 10, rx: 5 }),
      svg("rect", { class: "interval", x: at(low), y: 9, width: Math.max(2, at(high) - at(low)), height: 16, rx: 4 }),
      svg("rect", { class: "here", x: at(accuracy) - 1.5, y: 5, width: 3, height: 24 }),
      svg("rect", { class: "simple", x: at(constant) - 1, y: 2, width: 2, height: 30 }),
    );
    for (const [x, text, anchor] of /** @type {[number, string, string][]} */ ([[left, "0\u00a0%", "start"], [at(0.5), "50\u00a0%", "middle"], [right, "100\u00a0%", "end"]])) {
      const label = svg("text", { x, y: 42, "text-anchor": anchor });
      label.textContent = text;
      chart.append(label);
    }
    const figure = element("figure");
    figure.append(chart, element("figcaption", told, "hint"));
    return figure;
  }

  function fillConfusion(table, number) {
    const { classes, levels, tested, multilabel } = data.evaluations[number];
    const { confusion, found } = Object.values(levels)[0];
    const heading = (text, scope, className) => {
      const cell = element("th", text, className);
      cell.scope = scope;
      return cell;
    };
    table.classList.toggle("many", classes.length > 4);
    table.caption.textContent = `${say("confusion_caption")}${tested ? ` ${say("confusion_opens")}` : ""}`;
    const head = element("tr");
    head.append(heading(say("true_said"), "col", "corner"));
    for (const name of classes) head.append(heading(name, "col"));
    head.append(heading(say("found"), "col", "recall"));
    table.tHead.append(head);
    confusion.forEach((counts, row) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      const line = element("tr");
      line.append(heading(classes[row], "row"));
      counts.forEach((count, at) => {
        const cell = element("td", undefined, at === row ? "right" : "");
        cell.style.setProperty("--share", total ? count / total : 0);
        if (count && tested) {
          const open = button(grouped(count), () => openCell(number, row, at));
          open.setAttribute("aria-label", say("cell_told", { n: count, truth: classes[row], said: classes[at] }));
          cell.append(open);
        } else cell.textContent = grouped(count);
        line.append(cell);
      });
      line.append(element("td", multilabel && found ? percent(found[row]) : total ? percent(counts[row] / total) : "–", "recall"));
      table.tBodies[0].append(line);
    });
  }

  /** A slider: the share of works kept from a score on, against the share of these that is right. */
  function fillThreshold(room, evaluation) {
    room.hidden = !evaluation.tested?.work.length;
    if (room.hidden) return;
    const slider = room.querySelector("input");
    const known = works.tasks.find(({ name }) => name === evaluation.task)?.models.find(({ id }) => id === evaluation.model_id)?.threshold;
    slider.value = String(Math.round(100 * Math.min(1, known ?? 0.5)));
    const show = () => {
      const least = Number(slider.value) / 100;
      const { kept, right, all } = keptFrom(evaluation.tested, least);
      room.querySelector("output").textContent = percent(least);
      room.querySelector(".kept-words").textContent = say("kept_told", { kept, of: all, share: percent(kept / all), right: kept ? percent(right / kept) : "–" });
      room.querySelector(".kept-bars").replaceChildren(scoreBar("", say("kept"), kept / all), scoreBar("", say("right_of_these"), kept ? right / kept : null));
    };
    slider.addEventListener("input", show);
    show();
  }
}
