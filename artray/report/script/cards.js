// A work as a card of the grid, and the pieces that it shares with other views: its picture, a score's bar.

/** @param {string} task @param {string} name @param {number | null} score */
function scoreBar(task, name, score, uncertain = false) {
  const bar = copyOf("score");
  bar.querySelector(".task").textContent = task;
  bar.querySelector(".name").textContent = name;
  bar.querySelector(".value").replaceChildren(...(uncertain ? [element("span", `${say("uncertain")}, `, "doubt")] : []), percent(score));
  bar.querySelector(".fill").style.width = `${100 * (score ?? 0)}%`;
  bar.classList.toggle("uncertain", uncertain);
  return bar;
}

/** @param {Collection} works @param {number} work @param {string} alternative */
function picture(works, work, alternative) {
  const address = works.data.thumbnail[work];
  if (!address) return element("span", say(works.statusOf(work) === "ok" ? "no_thumbnail" : "no_picture"), "none");
  const image = element("img");
  image.decoding = "async";
  image.alt = alternative;
  image.src = address;
  return image;
}

/** The colours as one striped background; from hexadecimal digits alone. @param {string} palette */
function strip(palette) {
  const parts = palette.match(/[0-9a-f]{8}/g) ?? [];
  const total = parts.reduce((sum, part) => sum + parseInt(part.slice(6), 16), 0);
  let end = 0;
  const stops = parts.map((part) => {
    const start = end;
    end += (100 * parseInt(part.slice(6), 16)) / (total || 1);
    return `#${part.slice(0, 6)} ${start.toFixed(1)}% ${end.toFixed(1)}%`;
  });
  return stops.length ? `linear-gradient(to right, ${stops.join(", ")})` : "";
}

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Judging} options.judging
 * @param {() => number | null} options.taskInView the task that the page is about now; null: all.
 */
function makeCards({ works, judging, taskInView }) {
  const MOST_TASKS = 3; // on a card; the others are in the work's own view
  const MOST_LABELS = 4; // of a task on a card; of more the last line tells how many
  const { data, tasks } = works;
  const mostLabels = once(() => data.labels.map(({ said }) => Math.min(MOST_LABELS, (said ?? []).reduce((most, flat) => Math.max(most, (flat?.length ?? 0) / 2), 1))));

  function tasksShown() {
    const task = taskInView();
    return task === null ? [...tasks.keys()].slice(0, MOST_TASKS) : [task];
  }

  /** The bars of a work's labels, as far as a card has room. @param {number} work */
  function labelsOf(work) {
    const nodes = tasksShown().filter((task) => works.isLabelled(work, task)).flatMap((task) => {
      const found = works.saidOf(work, task);
      const doubtful = works.isUncertain(work, task);
      const bars = found.slice(0, MOST_LABELS).map(({ place, score }, i) => {
        const more = i === MOST_LABELS - 1 && found.length > MOST_LABELS ? ` ${say("and_more", { n: found.length - MOST_LABELS })}` : "";
        return scoreBar("", works.className(task, place) + more, score, doubtful);
      });
      if (!bars.length) bars.push(scoreBar("", say("no_label"), works.scoreOf(work, task), doubtful));
      bars[0].querySelector(".task").textContent = tasks.length > 1 ? spaced(tasks[task].name) : "";
      const correction = judging.correctionOf(work, task);
      if (correction) markCorrected(bars, found.length, task, correction.label, judging.agrees(work, task, correction.label));
      return bars;
    });
    if (works.statusOf(work) !== "ok") nodes.push(element("span", say("not_labelled_because", { reason: reasonOf(works.statusOf(work)) }), "reason"));
    return nodes;
  }

  function markCorrected(bars, said, task, label, agreed) {
    const name = bars[0].querySelector(".name");
    const own = foreign("span", `✓ ${judging.told(task, label)}`, "yours");
    own.prepend(element("span", `${say("you")}: `, "unseen"));
    if (agreed) {
      if (said > 1) name.append(" ", element("span", "✓", "yours"));
      else name.replaceChildren(own);
    } else {
      for (const bar of bars) bar.querySelector(".name").replaceChildren(element("s", bar.querySelector(".name").textContent));
      name.append(" ", own);
      bars[0].querySelector(".value").replaceChildren(); // room for what counts now
    }
  }

  return {
    /** @param {number} work */
    card(work) {
      const item = copyOf("card");
      const find = (selector) => item.querySelector(selector);
      find(".mat").append(picture(works, work, ""));
      if (tasksShown().some((task) => works.isLearned(work, task))) find(".mat").append(element("span", say("learned_from"), "tag"));
      find(".strip").style.background = strip(data.palette[work] ?? "");
      find(".title").textContent = works.titleOf(work);
      find(".artist").textContent = works.artistOf(work);
      find(".labels").append(...labelsOf(work));
      return item;
    },
    /** A card as high as any. */
    tallest() {
      const item = copyOf("card");
      item.querySelector(".title").textContent = "X\nX";
      item.querySelector(".artist").textContent = "X";
      item.querySelector(".labels").append(...tasksShown().flatMap((task) => Array.from({ length: mostLabels()[task] }, (_, i) => scoreBar(tasks.length > 1 && !i ? spaced(tasks[task].name) : "", "X", 0.5))));
      return item;
    },
  };
}
