// A work in its own view: what models and catalogue say of it, and the curator's answer, by keys, clicks or swipes.

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Judging} options.judging
 * @param {() => number[]} options.shown the works that the filters show, in order.
 * @param {() => number[]} options.questionsInView those that the page is about now.
 * @param {(work: number) => Promise<WorkDetails>} options.detailsOf
 * @param {() => void} options.closed called when the reader goes back to the other works.
 * @param {() => void} options.moved called when another work is shown.
 */
function makeWorkView({ works, judging, shown, questionsInView, detailsOf, closed, moved }) {
  const { data, tasks, fields } = works;
  const dialog = byId("detail");
  const zoom = makeZoom();
  let current = -1; // the work that is shown
  let last = -1; // the last one of the grid's: where previous and next go on from
  /** The works from which "works like this" led here. @type {number[]} */
  let trail = [];
  let active = -1; // the question that keys answer
  let turns = 0; // how often another work was shown
  let details = /** @type {WorkDetails | null} */ (null); // the work's, once they are there

  const asked = () => judging.asked(current, questionsInView());

  // -- Opening, going on, closing; the browser's Back closes too --------------------------------------------------------

  /** @param {number} work */
  function openWork(work) {
    trail = [];
    last = work;
    if (!dialog.open) {
      dialog.showModal();
      if (!history.state?.artrayWork) history.pushState({ artrayWork: true }, "");
    }
    showWork(work);
  }

  function close() {
    if (history.state?.artrayWork) history.back(); // and then as where the reader goes back
    else dialog.close();
  }

  addEventListener("popstate", () => {
    if (dialog.open && !history.state?.artrayWork) dialog.close();
  });
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    if (zoom.isOpen()) zoom.close();
    else if (!byId("keys").hidden) showKeys(false);
    else close();
  });
  dialog.addEventListener("close", () => {
    if (zoom.isOpen()) zoom.close();
    showKeys(false);
    closed();
  });

  /** Goes on by some works; whether there was one. @param {number} by */
  function step(by) {
    const from = shown().indexOf(last);
    const at = from + by;
    if (from < 0 || at < 0 || at >= shown().length) return false;
    trail = [];
    last = shown()[at];
    showWork(last);
    return true;
  }

  /** To the next question of this work that is open, else to the next work. */
  function goOn() {
    const next = asked().find((question) => question > active && !judging.isAnswered(current, question));
    if (next !== undefined) activate(next);
    else if (!step(1)) tell(`${byId("told").textContent} ${say("end_of_list")}`.trim());
  }

  // -- What is shown -----------------------------------------------------------------------------------------------------

  function showProgress() {
    const list = shown();
    const at = list.indexOf(last);
    byId("position").textContent = current === last && at >= 0 ? say("position", { n: at + 1, of: list.length }) : "";
    const wanted = questionsInView();
    let [done, all] = [0, 0];
    for (const work of list) {
      const own = judging.asked(work, wanted);
      all += own.length ? 1 : 0;
      done += own.length && own.every((question) => judging.isAnswered(work, question)) ? 1 : 0;
    }
    byId("progress").max = Math.max(1, all);
    byId("progress").value = done;
    byId("progress-words").textContent = say("progress", { n: done, of: all });
    byId("undo-work").disabled = !judging.canUndo();
  }

  async function showWork(work) {
    current = work;
    const at = shown().indexOf(last);
    byId("previous").disabled = at <= 0;
    byId("next").disabled = at < 0 || at === shown().length - 1;
    byId("back").hidden = trail.length === 0;
    const alternative = [works.titleOf(work), works.artistOf(work)].filter(Boolean).join(", ");
    byId("detail-picture").replaceChildren(picture(works, work, alternative));
    byId("enlarge").hidden = !data.thumbnail[work];
    details = null;
    byId("detail-title").textContent = works.titleOf(work);
    byId("detail-artist").textContent = works.artistOf(work);
    byId("detail-reason").hidden = works.statusOf(work) === "ok";
    byId("detail-reason").textContent = `${say("not_labelled_because", { reason: reasonOf(works.statusOf(work)) })}.`;
    for (const id of ["detail-tasks", "detail-palette", "near-list", "detail-record"]) byId(id).replaceChildren();
    for (const id of ["near", "objects", "detail-palette", "show-map"]) byId(id).hidden = true;
    dialog.scrollTop = 0;
    active = asked().find((question) => !judging.isAnswered(work, question)) ?? asked()[0] ?? -1;
    showProgress();
    holdFocus();
    moved();
    turns += 1;
    const turn = turns;
    let found;
    try {
      found = await detailsOf(work);
    } catch (error) {
      byId("detail-reason").hidden = false;
      byId("detail-reason").textContent = /** @type {Error} */ (error).message;
      return;
    }
    if (turn !== turns) return; // another work was opened while this one was read
    details = found;
    byId("enlarge").hidden = !data.thumbnail[work] && !found.service;
    const find = (name) => found.record[fields.findIndex((one) => one.name === name)];
    byId("detail-title").textContent = find("title") || data.id[work];
    byId("detail-artist").textContent = find("artist") ?? "";
    if (found.error) byId("detail-reason").textContent += ` (${found.error})`;
    byId("detail-palette").hidden = found.palette.length === 0;
    byId("detail-palette").replaceChildren(...found.palette.map(swatch));
    byId("detail-tasks").replaceChildren(...answers.blocks(work, found));
    activate(active);
    byId("detail-record").replaceChildren(...recordRows(works, work, found));
    showNear(found.near);
    showMap(works, work, found, active);
    showObjects(byId("detail-picture"), found.objects);
    holdFocus();
  }

  /** Focus stays in the work when what had it is gone. */
  function holdFocus() {
    const at = document.activeElement;
    if (dialog.open && (!at || at === document.body || !dialog.contains(at) || /** @type {any} */ (at).disabled)) byId("detail-title").focus({ preventScroll: true });
  }

  /** @param {number} question */
  function activate(question) {
    const isOther = question !== active;
    active = question;
    if (isOther && details) showMap(works, current, details, active);
    for (const block of byId("detail-tasks").children) block.classList.toggle("active", Number(block.dataset.question) === question && asked().length > 1);
  }

  /** Shows a work from which Back leads here again. @param {number} other */
  function visit(other) {
    trail.push(current);
    showWork(other);
    byId("detail-title").focus();
  }

  function showNear(near) {
    byId("near").hidden = near.length === 0;
    const task = tasks.findIndex((_, one) => works.hasCatalogue(one) && (active < 0 || works.questionOf(one) === active));
    const told = [];
    for (let i = 0; i < near.length; i += 2) {
      const other = near[i];
      const item = element("li");
      const open = button(undefined, () => visit(other));
      const mat = element("span", undefined, "mat");
      mat.append(picture(works, other, ""));
      open.title = `${works.titleOf(other).slice(0, 100)}\n${say("alike", { share: percent(near[i + 1]) })}`;
      open.append(mat, foreign("span", works.titleOf(other), "title"), element("span", percent(near[i + 1]), "value"));
      const names = task < 0 ? [] : works.catalogueOf(other, task);
      told.push(...names);
      if (names.length) open.append(foreign("span", names.join(", "), "catalogued"));
      item.append(open);
      byId("near-list").append(item);
    }
    const counted = countBy(told, (name) => name).slice(0, 3).map(([name, n]) => say("near_are", { n, of: near.length / 2, label: name }));
    byId("near-words").textContent = counted.length ? `${say("in_the_catalogue")} ${counted.join(", ")}.` : "";
  }

  /** @param {number[]} colour red, green, blue and its share */
  function swatch([red, green, blue, share]) {
    const item = element("li");
    const colour = element("span");
    colour.style.backgroundColor = `rgb(${red} ${green} ${blue})`;
    const hex = [red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("");
    item.append(colour, `#${hex} ${percent(share)}`);
    return item;
  }

  // -- Answers -----------------------------------------------------------------------------------------------------------

  const tell = (text) => { byId("told").textContent = text; };

  /**
   * Gives the work that is shown a label, and goes on.
   *
   * @param {number} question
   * @param {string} choice a label's name, or `RIGHT`, `NONE`, `UNCHECKED`
   * @param {{stay?: boolean}} [how]
   */
  function answer(question, choice, { stay = false } = {}) {
    if (question < 0) return;
    activate(question);
    const { multilabel, tasks: own } = works.questions[question];
    const [task] = judging.answering(current, question).length ? judging.answering(current, question) : own;
    const isName = choice[0] !== "\u0000";
    let meant = choice;
    if (multilabel && isName) { // one more, or one less
      const correction = judging.correctionOf(current, task);
      const names = judging.namesIn(task, correction?.label ?? judging.predicted(current, task));
      meant = judging.cellOf(task, names.includes(choice) ? names.filter((name) => name !== choice) : [...names, choice]);
    } else if (multilabel && choice === RIGHT && !stay && judging.correctionOf(current, task)) {
      goOn(); // what is in the list is right
      return;
    }
    if (!judging.give([current], question, meant)) {
      tell(say("nothing_said"));
      return;
    }
    const correction = judging.correctionOf(current, task);
    tell(correction ? `✓ ${judging.told(task, correction.label)}` : say("not_checked"));
    answers.refresh();
    showProgress();
    if (!stay && !(multilabel && isName)) goOn();
  }

  function undo() {
    const act = judging.undo();
    if (!act) {
      tell(say("nothing_to_undo"));
      return;
    }
    if (dialog.open) {
      if (act.work !== current) {
        trail = [];
        if (shown().includes(act.work)) last = act.work;
        showWork(act.work);
      } else {
        answers.refresh();
        showProgress();
      }
      activate(act.question);
    }
    tell(say("undone", { n: act.count }));
    holdFocus();
  }

  const answers = makeAnswers({ works, judging, answer, visit });

  // -- Keys, clicks, swipes ------------------------------------------------------------------------------------------------

  function showKeys(on) {
    byId("keys").hidden = !on;
    byId("show-keys").setAttribute("aria-expanded", String(on));
    if (!on || active < 0) return;
    byId("key-labels").replaceChildren(...works.choices()[active].filter(({ key }) => key).flatMap(({ label, key }) => {
      const name = element("dt");
      name.append(element("kbd", key));
      return [name, foreign("dd", label)];
    }));
  }

  // On the document: a key counts wherever focus is while a work is open.
  document.addEventListener("keydown", (event) => {
    if (!dialog.open || event.defaultPrevented || event.altKey) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const control = target.closest("button, a, select, input, textarea, summary");
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "z" || target.matches("input, textarea")) return;
      event.preventDefault();
      undo();
      return;
    }
    if (zoom.isOpen()) {
      if (event.key !== "Escape" && zoom.key(event.key)) event.preventDefault();
      return;
    }
    if (target.matches("select, input, textarea")) return;
    // Enter and Space work the button that a keyboard has gone to.
    if ((event.key === "Enter" || event.key === " ") && control?.matches(":focus-visible")) return;
    const choice = active < 0 ? undefined : works.choices()[active].find(({ key }) => key === event.key.toLowerCase());
    const act = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      Enter: () => answer(active, RIGHT),
      0: () => answer(active, NONE),
      u: undo,
      U: undo,
      z: enlarge,
      q: nextQuestion,
      "?": () => showKeys(byId("keys").hidden),
    }[event.key] ?? (choice && (() => answer(active, choice.label)));
    if (!act) return;
    event.preventDefault();
    act();
  });

  function nextQuestion() {
    const own = asked();
    if (own.length) activate(own[(own.indexOf(active) + 1) % own.length]);
  }

  function enlarge() {
    const address = data.zoom?.[current] ?? data.thumbnail[current];
    if (address || details?.service) zoom.open(address ?? "", works.titleOf(current), details?.service);
  }

  // A finger's swipe: to the right says right, to the left goes on without an answer.
  const SWIPE = 60;
  let began = /** @type {[number, number] | null} */ (null);
  dialog.addEventListener("touchstart", (event) => {
    const [touch] = event.touches;
    const { target } = event;
    began = event.touches.length === 1 && !zoom.isOpen() && !target.closest("select, input, .scroll") ? [touch.clientX, touch.clientY] : null;
  }, { passive: true });
  dialog.addEventListener("touchend", (event) => {
    const [touch] = event.changedTouches;
    if (!began) return;
    const [byX, byY] = [touch.clientX - began[0], touch.clientY - began[1]];
    began = null;
    if (Math.abs(byX) < SWIPE || Math.abs(byX) < 2 * Math.abs(byY)) return;
    if (byX > 0) answer(active, RIGHT);
    else step(1);
  }, { passive: true });

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("back").addEventListener("click", () => showWork(/** @type {number} */ (trail.pop())));
  byId("close").addEventListener("click", close);
  byId("undo-work").addEventListener("click", undo);
  byId("show-keys").addEventListener("click", () => showKeys(byId("keys").hidden));
  byId("enlarge").addEventListener("click", enlarge);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });

  return {
    open: openWork,
    close,
    undo,
    isOpen: () => dialog.open,
    current: () => current,
    last: () => last,
    refresh() {
      if (!dialog.open) return;
      answers.refresh();
      showProgress();
    },
  };
}
