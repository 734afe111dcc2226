// What the curator says of works: given one by one or many at once, undone without limit.

const RIGHT = "\u0000right"; // says that the model is right; no class is called so
const NONE = "\u0000none"; // "none of these"
const UNCHECKED = "\u0000unchecked"; // takes a correction back

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Corrections} options.corrections
 * @param {() => void} options.changed called after each change.
 */
function makeJudging({ works, corrections, changed }) {
  const { data, tasks, questions, count } = works;
  /** @type {{undo: [string, string, Correction | null][], work: number, question: number}[]} */
  const acts = [];
  /** By question: which works are checked. @type {Uint8Array[]} */
  let checked = [];

  const correctionOf = (work, task) => corrections.get(data.id[work], tasks[task].name);
  /** Labels of a work as one cell of a correction, and back; the order of several means nothing. */
  const cellOf = (task, names) => (tasks[task].multilabel ? joined(names) : names[0] ?? "");
  const namesIn = (task, label) => (tasks[task].multilabel ? parted(label) : label ? [label] : []);
  const predicted = (work, task) => cellOf(task, works.saidOf(work, task).map(({ place }) => works.className(task, place)));
  const agrees = (work, task, label) => cellOf(task, namesIn(task, label).sort()) === cellOf(task, namesIn(task, predicted(work, task)).sort());
  const told = (task, label) => namesIn(task, label).join(", ") || say("none_of_these");
  const answering = (work, question) => questions[question].tasks.filter((task) => works.isLabelled(work, task));

  function recount() {
    checked = questions.map(() => new Uint8Array(count));
    for (const [id, name] of corrections.entries()) {
      const work = works.placeOfId.get(id);
      const task = tasks.findIndex((one) => one.name === name);
      if (work !== undefined && task >= 0 && works.isLabelled(work, task)) checked[works.questionOf(task)][work] = 1;
    }
  }

  function remark(work) {
    questions.forEach((_, question) => { checked[question][work] = Number(answering(work, question).some((task) => correctionOf(work, task))); });
  }

  /** What a choice means for a task of a work: a cell, null for no correction, undefined for nothing. */
  function meant(work, task, choice) {
    if (choice === UNCHECKED) return null;
    if (choice === NONE) return "";
    if (choice === RIGHT) return works.saidOf(work, task).length || tasks[task].multilabel ? predicted(work, task) : undefined;
    return choice;
  }

  /**
   * Gives works a label of a question, as one act.
   *
   * @param {number[]} given the works
   * @param {number} question
   * @param {string} choice a label's cell, or `RIGHT`, `NONE`, `UNCHECKED`
   * @returns {number} how many works it concerns: those that the models said something of
   */
  function give(given, question, choice) {
    const now = new Date().toISOString();
    const by = reviewer.name;
    /** @type {[string, string, Correction | null][]} */
    const changes = [];
    const concerned = new Set();
    for (const work of given) {
      // Where several models answer, the first that says something is meant by "right".
      const own = answering(work, question);
      const first = own.find((task) => works.saidOf(work, task).length) ?? own[0];
      for (const task of own) {
        const label = meant(work, choice === RIGHT ? first : task, choice);
        if (label === undefined) continue;
        changes.push([data.id[work], tasks[task].name, label === null ? null : { label, at: now, by }]);
        concerned.add(work);
      }
    }
    if (!changes.length) return 0;
    acts.push({ undo: corrections.set(changes), work: given[0], question });
    for (const work of concerned) remark(work);
    changed();
    return concerned.size;
  }

  /** Takes the last act back; which work it began with, or null where there is none. */
  function undo() {
    const act = acts.pop();
    if (!act) return null;
    corrections.set(act.undo);
    for (const [id] of act.undo) remark(/** @type {number} */ (works.placeOfId.get(id)));
    changed();
    return { work: act.work, question: act.question, count: new Set(act.undo.map(([id]) => id)).size };
  }

  /** The corrections as rows of `CORRECTIONS_HEADER`, in the collection's order; one that agrees with the model confirms it. */
  function rows() {
    /** @type {[number, number, (string | number)[]][]} */
    const found = [];
    const places = new Map(tasks.map(({ name }, task) => [name, task]));
    for (const [id, name, { label, at, by = "" }] of corrections.entries()) {
      const work = works.placeOfId.get(id);
      const task = places.get(name);
      if (work === undefined || task === undefined || !works.isLabelled(work, task)) continue;
      const same = agrees(work, task, label);
      const own = same ? label : predicted(work, task);
      const decision = same ? "accepted" : label ? "corrected" : "rejected";
      const model = tasks[task].models.length === 1 ? tasks[task].models[0].id : "";
      found.push([work, task, [id, name, label, own, works.scoreOf(work, task) ?? "", at, by, at, decision, model, data.run.run ?? ""]]);
    }
    return found.sort(([a, s], [b, t]) => a - b || s - t).map(([, , row]) => row);
  }

  recount();
  return {
    give, undo, rows, recount, correctionOf, cellOf, namesIn, predicted, agrees, told, answering,
    /** @param {number} work @param {number} question */
    isAnswered: (work, question) => checked[question][work] === 1,
    isChecked: (work) => checked.some((own) => own[work]),
    isChanged: (work) => checked.some((own) => own[work]) && tasks.some((_, task) => {
      const correction = works.isLabelled(work, task) && correctionOf(work, task);
      return correction && !agrees(work, task, correction.label);
    }),
    /** The questions that models answered of a work, of those that are asked. */
    asked: (work, wanted) => wanted.filter((question) => answering(work, question).length > 0),
    canUndo: () => acts.length > 0,
  };
}
