// The works, column by column (their shape: page.py), and what is worked out from the columns.

const UNSCORED = 20_000; // behind every score
const QUESTION_KEYS = "123456789abcdefghijklmnoprstvwxy"; // without q, u and z, which do other things

/** @param {PageData} data */
function makeCollection(data) {
  const { fields, tasks, count } = data;
  const everyWork = Array.from({ length: count }, (_, work) => work);

  /** @param {PageColumn} column @returns {(work: number) => string} */
  const reader = ({ values, places }) => (places ? (work) => values[places[work]] : (work) => values[work]);
  const field = (name) => {
    const found = fields.find((one) => one.name === name);
    return found ? reader(found) : () => "";
  };
  const statusOf = reader(data.status);
  const titled = field("title");
  const artistOf = field("artist");
  const titleOf = (work) => titled(work) || data.id[work];
  const placeOfId = new Map(data.id.map((id, work) => [id, work]));

  const className = (task, place) => tasks[task].classes[place]?.label ?? say("no_label");
  const isLabelled = (work, task) => data.labels[task].score[work] !== null || data.labels[task].label[work] !== null;
  const scores = data.labels.map(({ score }) => Int16Array.from(score, (value) => value ?? UNSCORED));
  // Of all tasks, the one that the models know least about.
  const lowest = Int16Array.from(everyWork, (work) => Math.min(UNSCORED, ...scores.map((own) => own[work])));
  const scoreOf = (work, task) => (scores[task][work] === UNSCORED ? null : scores[task][work] / 10_000);

  /** The labels that are said of a work, the surest first: [{place, score}]; of most tasks one. */
  function saidOf(work, task) {
    const { label, said } = data.labels[task];
    if (!said) return label[work] === null ? [] : [{ place: /** @type {number} */ (label[work]), score: scoreOf(work, task) }];
    const flat = said[work] ?? [];
    return Array.from({ length: flat.length / 2 }, (_, i) => {
      const score = flat[2 * i + 1];
      return { place: /** @type {number} */ (flat[2 * i]), score: score === null ? null : score / 10_000 };
    });
  }
  const hasLabel = (work, task, place) => (data.labels[task].said ? saidOf(work, task).some((one) => one.place === place) : data.labels[task].label[work] === place);

  /** @param {number[]} works */
  function maskOf(works) {
    const mask = new Uint8Array(count);
    for (const work of works) mask[work] = 1;
    return mask;
  }
  const uncertain = data.labels.map((own) => maskOf(own.uncertain));
  const learned = data.labels.map((own) => maskOf(own.learned));
  const catalogues = tasks.map(({ catalogue }) => (catalogue === null ? null : reader(fields[catalogue])));
  const models = tasks.flatMap((task) => task.models);

  /** What the catalogue says of a work; empty where it says nothing, or nothing is known of it. @returns {string[]} */
  function catalogueOf(work, task) {
    const text = catalogues[task]?.(work) ?? "";
    return tasks[task].multilabel ? parted(text) : text ? [text] : [];
  }
  const agreement = tasks.map((_, task) => once(() => Int8Array.from(everyWork, (work) => Number(compared(work, task) ?? -1))));
  /** Whether catalogue and model agree; null where one of them says nothing. @returns {boolean | null} */
  function isAsCatalogued(work, task) {
    const found = agreement[task]()[work];
    return found < 0 ? null : found === 1;
  }
  function compared(work, task) {
    const told = catalogueOf(work, task);
    const said = saidOf(work, task).map(({ place }) => className(task, place));
    if (!told.length || !isLabelled(work, task)) return null;
    return told.length === said.length && told.every((name) => said.includes(name));
  }

  const labelCounts = once(() => tasks.map((_, task) => {
    const counts = new Uint32Array(tasks[task].classes.length);
    for (const work of everyWork) for (const { place } of saidOf(work, task)) counts[place] += 1;
    return counts;
  }));

  /** The questions: several models may answer one of them. @type {Question[]} */
  const questions = [];
  tasks.forEach(({ name, question, multilabel }, task) => {
    const known = questions.find((one) => one.key === question && one.multilabel === multilabel);
    if (known) known.tasks.push(task);
    else questions.push({ key: question, name: spaced(name), tasks: [task], multilabel });
  });
  const questionOf = Uint8Array.from(tasks, (_, task) => questions.findIndex((one) => one.tasks.includes(task)));

  /** The labels that one may give, those of most works first: their keys stay where they are. */
  const choices = once(() => questions.map(({ tasks: own }) => {
    const counts = new Map();
    for (const task of own) {
      tasks[task].classes.forEach(({ label }, place) => counts.set(label, (counts.get(label) ?? 0) + labelCounts()[task][place]));
    }
    return [...counts].sort(([, m], [, n]) => n - m).map(([label], at) => ({ label, key: QUESTION_KEYS[at] ?? "" }));
  }));

  /** What speaks for looking at a work: "task:work" -> what models say that have not seen it, and works that look the same. */
  const evidence = once(() => {
    const found = new Map();
    for (const { task, works: own, said, score, twin } of data.queues) {
      own.forEach((work, at) => {
        if (said[at]) found.set(`${task}:${work}`, { ...found.get(`${task}:${work}`), said: said[at], score: score[at] });
        if (typeof twin[at] === "number") found.set(`${task}:${work}`, { ...found.get(`${task}:${work}`), twin: twin[at] });
      });
    }
    return found;
  });

  const searchable = once(() => [...fields, { values: data.id, places: undefined }, { values: data.file, places: undefined }].map(({ values, places }) => ({ values: values.map(folded), places })));
  const artists = once(() => {
    const { values, places } = fields.find(({ name }) => name === "artist") ?? { values: /** @type {string[]} */ ([]), places: undefined };
    return { values: values.map(folded), places };
  });

  /** Each work's place in the order of a text. @param {PageColumn} column @param {boolean} dated */
  function ranks({ values, places }, dated) {
    const order = inOrder(values, collator, dated ? yearOf : null);
    const rank = new Uint32Array(values.length);
    order.forEach((value, place) => { rank[value] = place > 0 && values[order[place - 1]] === values[value] ? rank[order[place - 1]] : place; });
    return Uint32Array.from(everyWork, (work) => rank[places ? places[work] : work]);
  }
  const rankOf = Object.fromEntries(
    ["title", "artist", "date"].map((name) => [name, once(() => ranks(fields.find((one) => one.name === name) ?? { values: data.id.map(() => "") }, name === "date"))]),
  );

  /** @type {Map<string, number[]>} */
  const orders = new Map();
  /** All works in an order that the page offers, each order worked out once. @param {string} order @param {number | null} task of the scores; null: all */
  function ordered(order, task) {
    if (order === "id") return everyWork; // the works are sorted by id
    const byScore = order === "uncertain" || order === "certain";
    const name = byScore ? `${order} ${task}` : order;
    let found = orders.get(name);
    if (!found) {
      const own = task === null ? lowest : scores[task];
      const key = byScore ? (order === "certain" ? own.map((score) => (score === UNSCORED ? score : -score)) : own) : rankOf[order]();
      orders.set(name, found = arranged(key));
    }
    return found;
  }
  /** Those of which catalogue and model differ in one of some tasks, the surest first. @param {number[]} inTask */
  const differing = remembered((inTask) => {
    const apart = everyWork.filter((work) => inTask.some((task) => isAsCatalogued(work, task) === false));
    const surest = (work) => Math.max(...inTask.map((task) => (isAsCatalogued(work, task) === false && scores[task][work] !== UNSCORED ? scores[task][work] : 0)));
    return arranged(Int16Array.from(apart, (work) => -surest(work))).map((at) => apart[at]);
  });

  /** Marks the works that have a text in one of some columns. @param {PageColumn[]} columns @param {string} text */
  function marked(columns, text) {
    const mask = new Uint8Array(count);
    for (const { values, places } of columns) {
      if (places) {
        const has = Uint8Array.from(values, (value) => Number(value.includes(text)));
        for (let work = 0; work < count; work += 1) mask[work] |= has[places[work]];
      } else {
        for (let work = 0; work < count; work += 1) if (!mask[work] && values[work].includes(text)) mask[work] = 1;
      }
    }
    return mask;
  }

  return {
    data, count, everyWork, tasks, fields, models, questions, scores, lowest,
    statusOf, titleOf, artistOf, dateOf: field("date"), placeOfId, className, isLabelled, scoreOf, saidOf, hasLabel,
    catalogueOf, isAsCatalogued, labelCounts, choices, searchable, artists, ordered, differing, marked, maskOf,
    /** @returns {{said?: string, score?: number | null, twin?: number} | undefined} */
    evidenceFor: (work, task) => evidence().get(`${task}:${work}`),
    /** @param {number} task */
    questionOf: (task) => questionOf[task],
    hasCatalogue: (task) => catalogues[task] !== null,
    isUncertain: (work, task) => uncertain[task][work] === 1,
    isLearned: (work, task) => learned[task][work] === 1,
    hasLearned: data.labels.some((own) => own.learned.length > 0),
    hasThresholds: models.some(({ threshold }) => threshold !== null) || tasks.some(({ multilabel }) => multilabel),
  };
}

/**
 * Places by a whole number of each, the least first, and as they come where it is equal: by buckets, which takes a tenth
 * of the time that comparing takes.
 *
 * @param {Int16Array | Uint32Array} key
 * @returns {number[]}
 */
function arranged(key) {
  let [least, most] = [0, 0];
  for (const value of key) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const starts = new Uint32Array(most - least + 2);
  for (const value of key) starts[value - least + 1] += 1;
  for (let value = 1; value < starts.length; value += 1) starts[value] += starts[value - 1];
  const order = new Array(key.length);
  for (let at = 0; at < key.length; at += 1) {
    order[starts[key[at] - least]] = at;
    starts[key[at] - least] += 1;
  }
  return order;
}

/**
 * Places of texts in their order: by year, if there is one, then by alphabet; those without come last.
 *
 * @param {string[]} texts
 * @param {Intl.Collator} collator
 * @param {((text: string) => number | null) | null} yearOf
 */
function inOrder(texts, collator, yearOf) {
  const years = yearOf && texts.map((text) => yearOf(text ?? "") ?? Infinity);
  return [...texts.keys()].sort((a, b) => Number(!texts[a]) - Number(!texts[b])
    || (years && years[a] !== years[b] ? years[a] - years[b] : collator.compare(texts[a], texts[b])));
}

/** How many of each, the most first. @returns {[any, number][]} */
function countBy(items, key) {
  const counts = new Map();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}
