// Which works are shown, in which order: the form beside them, an area of the map, a cell of a confusion matrix.

const FILTER_TEXTS = ["text", "term", "artist", "status", "least", "most", "order", "queue"];

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Judging} options.judging
 * @param {Terms} options.terms
 * @param {(keepPlace: boolean) => void} options.changed called after each change.
 */
function makeFilters({ works, judging, terms, changed }) {
  const { data, tasks, fields, count, everyWork } = works;
  const form = byId("filters");
  const { elements } = form;
  const value = (name) => elements[name].value;
  /** Drawn on the map: corners [x, y, …] in thousandths. @type {number[] | null} */
  let area = null;
  /** Of an evaluation's confusion matrix. @type {{evaluation: number, truth: number, said: number} | null} */
  let cell = null;
  /** @type {number[]} */
  let shown = []; // in the order of the page
  let mask = new Uint8Array(count); // the same, by work
  let leftOut = 0; // works that a queue leaves out, because the models learned from them

  function fill() {
    const { task, status } = elements;
    task.append(option("", say("all_tasks")), ...tasks.map(({ name }, place) => option(place, spaced(name))));
    form.querySelector("[data-for=task]").hidden = tasks.length < 2;
    status.append(option("", say("all_works")), option("ok", say("status.labelled")));
    if (works.hasThresholds) status.append(option("uncertain", say("status.uncertain")), option("certain", say("status.certain")));
    status.append(option("failed", say("status.failed")));
    for (const [name] of countBy(everyWork.filter((work) => works.statusOf(work) !== "ok"), works.statusOf)) {
      status.append(option(`status:${name}`, say("not_labelled_because", { reason: reasonOf(name) })));
    }
    status.append(option("checked", say("status.checked")), option("changed", say("status.changed")), option("unchecked", say("status.unchecked")));
    if (tasks.some((_, one) => works.hasCatalogue(one))) status.append(option("differs", say("status.differs")), option("alike", say("status.alike")));
    if (works.hasLearned) status.append(option("learned", say("status.learned")), option("unlearned", say("status.unlearned")));
    elements.queue.append(option("", say("queue.all")), ...queues().map(({ key, title }) => option(key, title)));
    form.querySelector("[data-for=queue]").hidden = queues().length === 0;
    form.querySelector("[data-for=term]").hidden = !terms.exist();
    fillLabels();
  }

  /** Lists of works to look at first: those that the data bring, and those that can be told from the columns. */
  const queues = once(() => {
    const given = data.queues.map((queue, at) => ({ key: `${queue.name}${queue.task === null ? "" : `:${tasks[queue.task].name}`}`, title: queueTitle(queue), at }));
    const brought = new Set(data.queues.map(({ name }) => name));
    const own = [];
    if (!brought.has("uncertain") && tasks.length) own.push("uncertain");
    if (!brought.has("differs") && tasks.some((_, one) => works.hasCatalogue(one))) own.push("differs");
    if (!brought.has("disagree") && works.questions.some(({ tasks: several }) => several.length > 1)) own.push("disagree");
    return [...own.map((name) => ({ key: name, title: say(`queue.${name}`), at: -1 })), ...given];
  });

  function queueTitle({ name, task }) {
    const title = isSayable(`queue.${name}`) ? say(`queue.${name}`) : spaced(name);
    return task === null || works.questions.length < 2 ? title : `${title}: ${spaced(tasks[task].name)}`;
  }

  const fillArtists = once(() => {
    const names = new Set(fields.find(({ name }) => name === "artist")?.values ?? []);
    names.delete("");
    byId("artists").append(...[...names].sort(collator.compare).map((name) => option(name)));
    return true;
  });

  /** Loads the words that works can be found by, when they are first asked for. */
  const fillTerms = once(() => terms.load().then(() => {
    byId("terms").append(...terms.names().map((name) => option(name)));
    if (value("term") !== "") refilter();
  }));

  /** The label menu holds the labels that the chosen task, or any task, really gave. */
  function fillLabels() {
    const { task, label } = elements;
    const groups = tasks.flatMap(({ name, classes }, place) => {
      if (task.value !== "" && Number(task.value) !== place) return [];
      const group = element("optgroup");
      group.label = spaced(name);
      classes.forEach((_, of) => {
        const number = works.labelCounts()[place][of];
        if (number) group.append(option(`${place}:${of}`, `${works.className(place, of)} (${grouped(number)})`));
      });
      return [group];
    });
    const before = label.value;
    label.replaceChildren(option("", say("all_labels")), ...(groups.length === 1 ? groups[0].children : groups));
    label.value = before;
    if (label.selectedIndex < 0) label.value = "";
  }

  /** The task that the page is about now: the chosen one, that of the chosen label or queue; null is all of them. */
  function taskInView() {
    if (value("task") !== "") return Number(value("task"));
    if (value("label") !== "") return Number(value("label").split(":")[0]);
    const queue = queues().find(({ key }) => key === value("queue"));
    return queue && queue.at >= 0 ? data.queues[queue.at].task : null;
  }

  /** What a queue leaves: its works, in its order; null: it is none. @param {number[]} inTask */
  function queued(inTask) {
    const queue = queues().find(({ key }) => key === value("queue"));
    if (!queue) return null;
    if (queue.at >= 0) return data.queues[queue.at].works;
    if (queue.key === "differs") return works.differing(inTask);
    if (queue.key === "disagree") return disagreeing();
    const task = inTask.length === 1 ? inTask[0] : null;
    const score = task === null ? works.lowest : works.scores[task];
    return works.ordered("uncertain", task).filter((work) => score[work] !== UNSCORED);
  }

  const disagreeing = once(() => everyWork.filter((work) => works.questions.some((one) => disagree(work, one))));

  function disagree(work, { tasks: own }) {
    const said = own.filter((task) => works.isLabelled(work, task)).map((task) => works.saidOf(work, task).map(({ place }) => works.className(task, place)).sort().join("\n"));
    return new Set(said).size > 1;
  }

  /** Finds the works. */
  function find() {
    const task = taskInView();
    const inTask = task === null ? [...tasks.keys()] : [task];
    const label = value("label") === "" ? null : Number(value("label").split(":")[1]);
    const least = value("least") === "" ? -Infinity : Number(value("least")) * 100;
    const most = value("most") === "" ? Infinity : Number(value("most")) * 100;
    const anyScore = least === -Infinity && most === Infinity;
    const words = folded(value("text")).split(/\s+/).filter(Boolean).map((word) => works.marked(works.searchable(), word));
    const artist = folded(value("artist").trim());
    const byArtist = artist && works.marked([works.artists()], artist);
    const status = value("status");
    const score = task === null ? works.lowest : works.scores[task];
    const { statusOf } = works;
    const learned = (work) => inTask.some((one) => works.isLearned(work, one));

    const matches = {
      "": () => true,
      ok: (work) => statusOf(work) === "ok",
      failed: (work) => statusOf(work) !== "ok",
      uncertain: (work) => inTask.some((one) => works.isUncertain(work, one)),
      certain: (work) => statusOf(work) === "ok" && !inTask.some((one) => works.isUncertain(work, one)),
      checked: judging.isChecked,
      changed: judging.isChanged,
      unchecked: (work) => statusOf(work) === "ok" && !judging.isChecked(work),
      differs: (work) => inTask.some((one) => works.isAsCatalogued(work, one) === false),
      alike: (work) => inTask.some((one) => works.isAsCatalogued(work, one)) && !inTask.some((one) => works.isAsCatalogued(work, one) === false),
      learned,
      unlearned: (work) => statusOf(work) === "ok" && !learned(work),
    };
    const hasStatus = matches[status] ?? ((work) => `status:${statusOf(work)}` === status);
    const { x, y } = data.position ?? { x: [], y: [] };
    const inCell = cell && cellMask(cell);
    const like = value("term") === "" ? null : terms.nearest(value("term"));
    const queue = like ? null : queued(inTask);
    // Queues that the data bring have decided by models that have not seen the works.
    const isOwnQueue = queue !== null && queues().find(({ key }) => key === value("queue"))?.at === -1;
    leftOut = 0;

    const listed = like ?? queue;
    const order = value("order");
    let candidates = listed ?? works.ordered(order, task);
    if (listed && order !== "uncertain") { // a list has its own order
      const isListed = works.maskOf(listed);
      candidates = works.ordered(order, task).filter((work) => isListed[work]);
    }
    mask = new Uint8Array(count);
    shown = candidates.filter((work) => {
      // Works without a label have no score, and no filter of scores finds them.
      const fits = words.every((word) => word[work]) && (!byArtist || byArtist[work]) && hasStatus(work)
        && (label === null || works.hasLabel(work, task, label))
        && (anyScore || (score[work] !== UNSCORED && score[work] >= least && score[work] <= most))
        && (!area || (x[work] !== null && isInside(area, x[work] / 10, /** @type {number} */ (y[work]) / 10)))
        && (!inCell || inCell[work] === 1);
      if (fits && isOwnQueue && !elements.learned.checked && learned(work)) {
        leftOut += 1;
        return false;
      }
      mask[work] = Number(fits);
      return fits;
    });
    return shown;
  }

  function cellMask({ evaluation, truth, said }) {
    const own = new Uint8Array(count);
    const { tested } = data.evaluations[evaluation];
    tested?.work.forEach((work, at) => { if (tested.truth[at].includes(truth) && tested.said[at].includes(said)) own[work] = 1; });
    return own;
  }

  function show() {
    byId("count").textContent = shown.length === count ? say("works", { n: count }) : say("of_works", { n: count, shown: shown.length });
    byId("area").hidden = !area;
    byId("cell").hidden = !cell;
    if (cell) {
      const { classes } = data.evaluations[cell.evaluation];
      byId("cell-words").textContent = say("cell_chip", { truth: classes[cell.truth], said: classes[cell.said] });
    }
    byId("left-out").hidden = leftOut === 0;
    byId("left-out").textContent = say("left_out", { n: leftOut });
    form.querySelector("[data-for=learned]").hidden = !works.hasLearned || value("queue") === "";
    const active = ["text", "term", "artist", "task", "label", "status", "least", "most", "queue"].filter((name) => value(name) !== "").length;
    byId("active-filters").textContent = active ? say("n_active", { n: active }) : "";
  }

  /** @param {{keepPlace?: boolean}} [how] */
  function refilter({ keepPlace = false } = {}) {
    find();
    show();
    changed(keepPlace);
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "task") fillLabels();
    refilter();
  });
  form.addEventListener("reset", () => {
    [area, cell] = [null, null];
    setTimeout(() => {
      fillLabels();
      refilter();
    });
  });
  elements.artist.addEventListener("focus", fillArtists);
  elements.term.addEventListener("focus", fillTerms);
  byId("left-out").addEventListener("click", () => {
    elements.learned.checked = true;
    refilter();
  });
  byId("area").addEventListener("click", () => {
    area = null;
    refilter();
  });
  byId("cell").addEventListener("click", () => {
    cell = null;
    refilter();
  });

  return {
    form, fill, fillArtists, fillLabels, taskInView, refilter, disagree,
    shown: () => shown,
    mask: () => mask,
    area: () => area,
    /** The questions that the page is about now. */
    questionsInView() {
      const task = taskInView();
      return task === null ? [...works.questions.keys()] : [works.questionOf(task)];
    },
    /** @param {number[] | null} corners */
    setArea(corners) {
      area = corners;
      refilter();
    },
    /** Shows the works of a cell of a confusion matrix, and no others. @param {number} evaluation @param {number} truth @param {number} said */
    setCell(evaluation, truth, said) {
      form.reset();
      setTimeout(() => {
        cell = { evaluation, truth, said };
        refilter();
      });
    },
    /** Shows the works of one status. @param {string} status */
    setStatus(status) {
      form.reset();
      elements.status.value = status;
    },
    /** Shows the works with a label, or no longer. @param {string} to task:class */
    toggleLabel(to) {
      const on = value("label") === to;
      elements.task.value = "";
      fillLabels();
      elements.label.value = on ? "" : to;
      refilter();
    },
    /** What the form says, for the page's address. @param {URLSearchParams} values */
    remember(values) {
      for (const name of FILTER_TEXTS) {
        if (value(name) && !(name === "order" && value(name) === "uncertain")) values.set(name, value(name));
      }
      const task = value("task") !== "" || value("label") !== "" ? taskInView() : null;
      if (task !== null) values.set("task", tasks[task].name);
      if (value("label") !== "" && task !== null) values.set("label", works.className(task, Number(value("label").split(":")[1])));
      if (elements.learned.checked) values.set("learned", "1");
      if (area) values.set("area", area.join(","));
      if (cell) {
        const { task: name, model_id: model, classes } = data.evaluations[cell.evaluation];
        values.set("cell", JSON.stringify([name, classes[cell.truth], classes[cell.said], model]));
      }
    },
    /** Takes the form from the page's address. @param {URLSearchParams} values */
    recall(values) {
      for (const name of FILTER_TEXTS) elements[name].value = values.get(name) ?? "";
      for (const name of ["status", "order", "queue"]) if (elements[name].selectedIndex < 0) elements[name].selectedIndex = 0;
      elements.learned.checked = values.has("learned");
      if (elements.term.value && terms.exist()) fillTerms();
      const task = tasks.findIndex(({ name }) => name === values.get("task"));
      elements.task.value = task < 0 ? "" : String(task);
      fillLabels();
      const label = task < 0 ? -1 : tasks[task].classes.findIndex((one) => one.label === values.get("label"));
      elements.label.value = label < 0 ? "" : `${task}:${label}`;
      if (elements.label.selectedIndex < 0) elements.label.value = "";
      const corners = (values.get("area") ?? "").split(",").map(Number);
      area = data.position && corners.length >= 6 && corners.length % 2 === 0 && corners.every(Number.isFinite) ? corners : null;
      cell = cellNamed(values.get("cell"));
    },
  };

  function cellNamed(text) {
    try {
      const [name, truth, said, model] = JSON.parse(text ?? "null");
      const ofTask = (one) => one.task === name && one.tested;
      const own = data.evaluations.findIndex((one) => ofTask(one) && one.model_id === model);
      const evaluation = own < 0 ? data.evaluations.findIndex(ofTask) : own; // addresses of before name no model
      const { classes } = data.evaluations[evaluation];
      const found = { evaluation, truth: classes.indexOf(truth), said: classes.indexOf(said) };
      return found.truth < 0 || found.said < 0 ? null : found;
    } catch {
      return null; // none, or an address that somebody wrote
    }
  }
}
