// The curator's page: finds, shows and corrects the works that data/collection.js holds (its shape: page.py).
// Every text of the collection goes through textContent or an option's value; nothing here builds markup from text.
"use strict";

(() => {
  const REASONS = {
    missing: "the file is not there",
    denied: "access was refused",
    empty: "the file is empty",
    not_an_image: "the file is not a picture",
    truncated: "the file is cut off before its end",
    too_large: "the picture has too many pixels to be opened safely",
    unsupported: "this kind of picture file is not supported",
    failed: "reading failed",
  };
  const NONE = "\u0000none"; // the option for "none of these"; no class is called so
  const UNCHECKED = "\u0000unchecked"; // likewise the option that takes a correction back
  const UNSCORED = 20_000; // behind every score
  const COLOURS = 10; // of labels on the map; the names of the CSS variables are --label-0 to --label-9, and --label-rest

  const data = globalThis.artrayPage;
  const { run, fields, tasks, evaluations, count } = data;
  const everyWork = Array.from({ length: count }, (_, work) => work);

  const byId = (id) => document.getElementById(id);
  const copy = (template) => byId(template).content.firstElementChild.cloneNode(true);
  const reasonOf = (status) => REASONS[status] ?? status;
  const spaced = (name) => name.replaceAll("_", " ");
  const numbered = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  // Search finds "Gérôme" for "gerome".
  const folded = (text) => (/^[\x20-\x7e]*$/.test(text) ? text : text.normalize("NFD").replace(/\p{M}/gu, "")).toLowerCase();

  function element(name, text, className) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  function option(value, text) {
    const node = element("option", text);
    node.value = value;
    return node;
  }

  function button(text, act) {
    const node = element("button", text);
    node.type = "button";
    node.addEventListener("click", act);
    return node;
  }

  /** A share as a reader says it: 0.873 is "87 %", 0.9996 is not yet "100 %". */
  function percent(share, decimals = 0) {
    if (share === null || share === undefined) return "–";
    const smallest = 10 ** -decimals;
    const shown = (100 * share).toFixed(decimals);
    if (share > 0 && Number(shown) === 0) return `<\u00a0${smallest}\u00a0%`;
    if (share < 1 && Number(shown) === 100) return `>\u00a0${100 - smallest}\u00a0%`;
    return `${shown}\u00a0%`;
  }

  // -- The works, column by column -----------------------------------------------------------------------------------

  const column = ({ values, places }) => (places ? (work) => values[places[work]] : (work) => values[work]);
  const field = (name) => {
    const found = fields.find((one) => one.name === name);
    return found ? column(found) : () => "";
  };
  const FIELDS = { title: field("title"), artist: field("artist") };
  const statusOf = column(data.status);
  const titleOf = (work) => FIELDS.title(work) || data.id[work];
  const placeOfId = new Map(data.id.map((id, work) => [id, work]));

  const className = (task, place) => tasks[task].classes[place]?.label ?? "no label";
  const isLabelled = (work, task) => data.labels[task].score[work] !== null || data.labels[task].label[work] !== null;
  const scores = data.labels.map(({ score }) => Int16Array.from(score, (value) => value ?? UNSCORED));
  // Of all tasks, the one that the models know least about.
  const lowest = Int16Array.from(everyWork, (work) => Math.min(UNSCORED, ...scores.map((own) => own[work])));
  /** The labels that are said of a work, the surest first: [{place, score}]; of most tasks one. */
  function saidOf(work, task) {
    const { label, said } = data.labels[task];
    if (!said) return label[work] === null ? [] : [{ place: label[work], score: scoreOf(work, task) }];
    const flat = said[work] ?? [];
    return Array.from({ length: flat.length / 2 }, (_, i) => ({ place: flat[2 * i], score: flat[2 * i + 1] === null ? null : flat[2 * i + 1] / 10_000 }));
  }
  const hasLabel = (work, task, place) => (data.labels[task].said ? saidOf(work, task).some((one) => one.place === place) : data.labels[task].label[work] === place);
  const scoreOf = (work, task) => (scores[task][work] === UNSCORED ? null : scores[task][work] / 10_000);
  const uncertain = data.labels.map((own) => {
    const mask = new Uint8Array(count);
    for (const work of own.uncertain) mask[work] = 1;
    return mask;
  });
  const isUncertain = (work, task) => uncertain[task][work] === 1;
  const models = tasks.flatMap((task) => task.models);
  const hasThresholds = models.some(({ threshold }) => threshold !== null) || tasks.some(({ multilabel }) => multilabel);

  function countBy(items, key) {
    const counts = new Map();
    for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
    return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  }

  // What takes long is worked out when it is first needed, or while nothing else goes on.
  function once(make) {
    let made;
    return () => (made ??= make());
  }
  const searchable = once(() => [...fields, { values: data.id }, { values: data.file }].map(({ values, places }) => ({ values: values.map(folded), places })));
  const artists = once(() => {
    const { values, places } = fields.find(({ name }) => name === "artist") ?? { values: [] };
    return { values: values.map(folded), places };
  });
  const collator = new Intl.Collator("en", { numeric: true });

  /** Each work's place in the alphabetical order of a text; works without one come last. */
  function ranks({ values, places }) {
    const order = [...values.keys()].sort((a, b) => !values[a] - !values[b] || collator.compare(values[a], values[b]));
    const rank = new Uint32Array(values.length);
    order.forEach((value, place) => { rank[value] = place > 0 && values[order[place - 1]] === values[value] ? rank[order[place - 1]] : place; });
    return Uint32Array.from(everyWork, (work) => rank[places ? places[work] : work]);
  }
  const rankOf = Object.fromEntries(
    ["title", "artist", "date"].map((name) => [name, once(() => ranks(fields.find((one) => one.name === name) ?? { values: data.id.map(() => "") }))]),
  );

  /** Marks the works that have a text in one of some columns. */
  function marked(columns, text) {
    const mask = new Uint8Array(count);
    for (const { values, places } of columns) {
      if (places) {
        const has = Uint8Array.from(values, (value) => value.includes(text));
        for (let work = 0; work < count; work += 1) mask[work] |= has[places[work]];
      } else {
        for (let work = 0; work < count; work += 1) if (!mask[work] && values[work].includes(text)) mask[work] = 1;
      }
    }
    return mask;
  }

  // -- What is known of single works, loaded when it is looked at ------------------------------------------------------

  globalThis.artrayShards = [];
  const loading = new Map();

  function detailsOf(work) {
    const number = Math.floor(work / data.shard);
    if (!loading.has(number)) {
      loading.set(number, new Promise((resolve, reject) => {
        const script = element("script");
        script.src = `data/works-${String(number).padStart(4, "0")}.js`;
        script.addEventListener("load", resolve);
        script.addEventListener("error", () => {
          loading.delete(number);
          reject(new Error(`${script.getAttribute("src")} is missing: the page needs its whole folder`));
        });
        document.head.append(script);
      }));
    }
    return loading.get(number).then(() => globalThis.artrayShards[number][work % data.shard]);
  }

  // -- Corrections -----------------------------------------------------------------------------------------------------

  const corrections = globalThis.artrayCorrections({
    run: run.run ?? location.pathname,
    changed() {
      showCorrections();
      grid.refresh();
    },
  });
  const correctionOf = (work, task) => corrections.get(data.id[work], tasks[task].name);
  const isChecked = (work) => tasks.some((_, task) => correctionOf(work, task));
  const isChanged = (work) => tasks.some((_, task) => isLabelled(work, task) && correctionOf(work, task) && !agrees(work, task, correctionOf(work, task).label));
  /** Labels of a work as one cell of a correction, and back; the order of several means nothing. */
  const cellOf = (task, names) => (tasks[task].multilabel ? corrections.joined(names) : names[0] ?? "");
  const namesIn = (task, label) => (tasks[task].multilabel ? corrections.parted(label) : label ? [label] : []);
  const predicted = (work, task) => cellOf(task, saidOf(work, task).map(({ place }) => className(task, place)));
  const agrees = (work, task, label) => cellOf(task, namesIn(task, label).sort()) === cellOf(task, namesIn(task, predicted(work, task)).sort());
  const told = (task, label) => namesIn(task, label).join(", ") || "none of these";

  /** The corrections as rows, in the collection's order; one that agrees with the model is a confirmation. */
  function correctionRows() {
    if (!corrections.count()) return [];
    return everyWork.flatMap((work) => tasks.flatMap(({ name }, task) => {
      const correction = correctionOf(work, task);
      if (!correction || !isLabelled(work, task)) return [];
      const own = agrees(work, task, correction.label) ? correction.label : predicted(work, task);
      return [[data.id[work], name, correction.label, own, scoreOf(work, task) ?? "", correction.at]];
    }));
  }

  function showCorrections(note = "") {
    const rows = correctionRows();
    const agreed = rows.filter(([, , label, own]) => label === own).length;
    const unsaved = corrections.kept() ? "" : " This browser does not keep them: download before you close the page.";
    const sum = rows.length
      ? `${numbered(rows.length, "label", "labels")} checked, ${agreed} confirmed and ${rows.length - agreed} changed.${unsaved}`
      : "No label checked yet.";
    byId("corrections").textContent = note ? `${note} ${sum}` : sum;
    byId("download").disabled = rows.length === 0;
    const earlier = rows.length ? null : corrections.earlier();
    byId("adopt").hidden = !earlier;
    if (earlier) {
      byId("adopt").textContent = `Take over ${earlier.count.toLocaleString("en")} from before`;
      byId("adopt").onclick = () => {
        corrections.adopt(earlier.key);
        refresh();
      };
    }
  }

  function correct(work, task, label) {
    corrections.set(data.id[work], tasks[task].name, label);
    showCorrections();
  }

  function download() {
    const url = URL.createObjectURL(new Blob([corrections.csv(correctionRows())], { type: "text/csv" }));
    const link = element("a");
    link.href = url;
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  async function load(file) {
    const names = new Set(tasks.map(({ name }) => name));
    const result = corrections.load(await file.text(), (id, task) => placeOfId.has(id) && names.has(task));
    if (!result) {
      showCorrections(`${file.name} holds no corrections: it has no columns object_id, task and label.`);
      return;
    }
    const left = result.left ? `, ${result.left.toLocaleString("en")} left out: not on this page` : "";
    showCorrections(`${result.taken.toLocaleString("en")} read${left}.`);
    refilter();
  }

  /** What the corrections changed, seen everywhere. */
  function refresh() {
    showCorrections();
    refilter({ keepPlace: true });
  }

  // -- Head, failures, evaluations, about ------------------------------------------------------------------------------

  function showSummary() {
    const title = run.title || "Collection labels";
    document.title = title;
    byId("title").textContent = title;
    const failed = everyWork.filter((work) => statusOf(work) !== "ok");
    byId("summary").textContent =
      `${numbered(count, "work", "works")}, ${(count - failed.length).toLocaleString("en")} of them labelled` +
      ` by ${numbered(models.length, "model", "models")}.${run.shown ? ` ${run.shown}.` : ""} The least certain come first: there your eye helps most.`;

    byId("doubts").replaceChildren(...tasks.flatMap(({ name, models: own }) => own.filter(({ doubt }) => doubt).map(({ doubt }) => element("li", `${spaced(name)}: ${doubt}`))));
    byId("doubts").hidden = byId("doubts").children.length === 0;

    byId("failures").hidden = failed.length === 0;
    byId("failures-title").textContent = `${numbered(failed.length, "picture", "pictures")} could not be labelled`;
    for (const [status, number] of countBy(failed, statusOf)) {
      const item = element("li");
      item.append(button(`${number.toLocaleString("en")} × ${reasonOf(status)}`, () => {
        filters.reset();
        filters.elements.status.value = `status:${status}`;
      }));
      byId("failure-reasons").append(item);
    }

    const about = Object.entries(run).filter(([name]) => name !== "title").map(([name, value]) => [spaced(name), String(value)]);
    for (const { name, models: own } of tasks) {
      for (const { id, threshold, doubt } of own) {
        const limit = doubt ? `; ${doubt}` : threshold === null ? "" : threshold > 1 ? "; all its labels are uncertain" : `; uncertain below ${percent(threshold)}`;
        about.push([`model for ${spaced(name)}`, `${id}${limit}`]);
      }
    }
    byId("run").append(...about.flatMap((pair) => [element("dt", pair[0]), element("dd", pair[1])]));
  }

  function showEvaluations() {
    for (const evaluation of evaluations) {
      const panel = copy("panel");
      const find = (selector) => panel.querySelector(selector);
      const levels = Object.entries(evaluation.levels); // artwork before patch
      const [unit, level] = levels[0];
      find("h3").textContent = spaced(evaluation.task);
      find(".accuracy").textContent = percent(level.accuracy);
      find(".of").textContent = `of ${numbered(level.n, unit, `${unit}s`)} right${evaluation.multilabel ? " in all labels" : ""}`;
      find(".unsure").hidden = !evaluation.doubt;
      find(".unsure").textContent = evaluation.doubt ?? "";
      find(".compared").append(
        ...levels.map(([name, { accuracy }]) => scoreBar("", `This model, by ${name}`, accuracy)),
        ...(level.balanced_accuracy === null ? [] : [scoreBar("", "Every label counting alike", level.balanced_accuracy)]),
        scoreBar("", evaluation.multilabel ? "Always the same labels" : "Always the most frequent label", evaluation.majority_share),
      );
      find(".model").textContent = `Model ${evaluation.model_id}`;
      find(".more").hidden = !evaluation.page;
      find(".more a").href = evaluation.page ?? "";
      find(".scroll").setAttribute("aria-label", `Confusion matrix of ${spaced(evaluation.task)}`);
      find("details").open = evaluation.classes.length <= 8 && matchMedia("(min-width: 60rem)").matches;
      fillConfusion(find("table"), evaluation.classes, level);
      byId("panels").append(panel);
    }
  }

  function fillConfusion(table, classes, { confusion, found }) {
    const heading = (text, scope, className) => {
      const cell = element("th", text, className);
      cell.scope = scope;
      return cell;
    };
    table.classList.toggle("many", classes.length > 4);
    table.caption.textContent = "Rows: what the works are. Columns: what the model said.";
    const head = element("tr");
    head.append(heading("true ↓ said →", "col", "corner"));
    for (const name of classes) head.append(heading(name, "col"));
    head.append(heading("found", "col", "recall"));
    table.tHead.append(head);
    confusion.forEach((counts, row) => {
      const total = counts.reduce((sum, number) => sum + number, 0);
      const line = element("tr");
      line.append(heading(classes[row], "row"));
      counts.forEach((number, at) => {
        const cell = element("td", number.toLocaleString("en"), at === row ? "right" : "");
        cell.style.setProperty("--share", total ? number / total : 0);
        line.append(cell);
      });
      line.append(element("td", found ? percent(found[row]) : total ? percent(counts[row] / total) : "–", "recall"));
      table.tBodies[0].append(line);
    });
  }

  // -- Filters ---------------------------------------------------------------------------------------------------------

  const filters = byId("filters");
  let view = "works";
  let area = null; // drawn on the map: corners [x, y, …] in thousandths
  let shown = []; // works, in the order of the page
  let mask = new Uint8Array(count); // the same, by work

  function fillFilters() {
    const { task, status } = filters.elements;
    task.append(option("", "All tasks"), ...tasks.map(({ name }, place) => option(place, spaced(name))));
    filters.querySelector("[data-for=task]").hidden = tasks.length < 2;
    status.append(option("", "All works"), option("ok", "Labelled"));
    if (hasThresholds) status.append(option("uncertain", "Uncertain"), option("certain", "Certain"));
    status.append(option("failed", "Not labelled"));
    for (const [name] of countBy(everyWork.filter((work) => statusOf(work) !== "ok"), statusOf)) {
      status.append(option(`status:${name}`, `Not labelled: ${reasonOf(name)}`));
    }
    status.append(option("checked", "Checked by you"), option("changed", "Changed by you"), option("unchecked", "Not yet checked"));
    fillLabels();
  }

  const fillArtists = once(() => {
    const names = new Set(fields.find(({ name }) => name === "artist")?.values ?? []);
    names.delete("");
    byId("artists").append(...[...names].sort(collator.compare).map((name) => option(name)));
    return true;
  });

  const labelCounts = once(() => tasks.map((_, task) => {
    const counts = new Uint32Array(tasks[task].classes.length);
    for (const work of everyWork) for (const { place } of saidOf(work, task)) counts[place] += 1;
    return counts;
  }));

  /** The label menu holds the labels that the chosen task, or any task, really gave. */
  function fillLabels() {
    const { task, label } = filters.elements;
    const groups = tasks.flatMap(({ name, classes }, place) => {
      if (task.value !== "" && Number(task.value) !== place) return [];
      const group = element("optgroup");
      group.label = spaced(name);
      classes.forEach((_, of) => {
        const number = labelCounts()[place][of];
        if (number) group.append(option(`${place}:${of}`, `${className(place, of)} (${number.toLocaleString("en")})`));
      });
      return [group];
    });
    const before = label.value;
    label.replaceChildren(option("", "All labels"), ...(groups.length === 1 ? groups[0].children : groups));
    label.value = before;
    if (label.selectedIndex < 0) label.value = "";
  }

  /** The task that the page is about now: the chosen one, or that of the chosen label; null is all of them. */
  function taskInView() {
    const { task, label } = filters.elements;
    if (task.value !== "") return Number(task.value);
    if (label.value !== "") return Number(label.value.split(":")[0]);
    return null;
  }

  function refilter({ keepPlace = false } = {}) {
    const get = (name) => filters.elements[name].value;
    const task = taskInView();
    const inTask = task === null ? [...tasks.keys()] : [task];
    const label = get("label") === "" ? null : Number(get("label").split(":")[1]);
    const least = get("least") === "" ? -Infinity : Number(get("least")) * 100;
    const most = get("most") === "" ? Infinity : Number(get("most")) * 100;
    const anyScore = least === -Infinity && most === Infinity;
    const words = folded(get("text")).split(/\s+/).filter(Boolean).map((word) => marked(searchable(), word));
    const artist = folded(get("artist").trim());
    const byArtist = artist && marked([artists()], artist);
    const status = get("status");
    const score = task === null ? lowest : scores[task];

    const matches = {
      "": () => true,
      ok: (work) => statusOf(work) === "ok",
      failed: (work) => statusOf(work) !== "ok",
      uncertain: (work) => inTask.some((one) => isUncertain(work, one)),
      certain: (work) => statusOf(work) === "ok" && !inTask.some((one) => isUncertain(work, one)),
      checked: isChecked,
      changed: isChanged,
      unchecked: (work) => statusOf(work) === "ok" && !isChecked(work),
    };
    const hasStatus = matches[status] ?? ((work) => `status:${statusOf(work)}` === status);
    const { x, y } = data.position ?? {};

    mask = new Uint8Array(count);
    shown = everyWork.filter((work) => {
      // Works without a label have no score, and no filter of scores finds them.
      const fits = words.every((word) => word[work]) && (!byArtist || byArtist[work]) && hasStatus(work)
        && (label === null || hasLabel(work, task, label))
        && (anyScore || (score[work] !== UNSCORED && score[work] >= least && score[work] <= most))
        && (!area || (x[work] !== null && globalThis.artrayInside(area, x[work] / 10, y[work] / 10)));
      mask[work] = fits;
      return fits;
    });

    const order = get("order");
    if (order !== "id") { // the works are sorted by id
      const key = order === "uncertain" ? score : order === "certain" ? score.map((value) => (value === UNSCORED ? value : -value)) : rankOf[order]();
      shown.sort((a, b) => key[a] - key[b]); // stable: by id where equal
    }
    byId("count").textContent = shown.length === count ? numbered(count, "work", "works") : `${shown.length.toLocaleString("en")} of ${numbered(count, "work", "works")}`;
    byId("empty").hidden = shown.length > 0;
    byId("area").hidden = !area;
    const active = ["text", "artist", "task", "label", "status", "least", "most"].filter((name) => get(name) !== "").length;
    byId("active-filters").textContent = active ? `(${active} active)` : "";
    if (keepPlace) grid.refresh(shown);
    else {
      grid.show(shown);
      const top = byId("browse").getBoundingClientRect().top;
      if (top < 0) scrollBy(0, top);
    }
    showMap();
    remember();
  }

  // -- The address holds the view -----------------------------------------------------------------------------------------

  const TEXTS = ["text", "artist", "status", "least", "most", "order"];
  let written = location.hash;
  let writing = 0;

  function remember() {
    // Browsers refuse an address that changes at every key press.
    clearTimeout(writing);
    writing = setTimeout(() => {
      const { elements } = filters;
      const values = new URLSearchParams();
      if (view !== "works") values.set("view", view);
      for (const name of TEXTS) {
        if (elements[name].value && !(name === "order" && elements[name].value === "uncertain")) values.set(name, elements[name].value);
      }
      const task = taskInView();
      if (task !== null) values.set("task", tasks[task].name);
      if (elements.label.value !== "") values.set("label", className(task, Number(elements.label.value.split(":")[1])));
      if (area) values.set("area", area.join(","));
      if (byId("map-colour").selectedIndex > 0) values.set("colour", byId("map-colour").selectedOptions[0].textContent);
      if (dialog.open) values.set("work", data.id[current]);
      written = values.size ? `#${values}` : "";
      if (written !== location.hash) history.replaceState(null, "", written || location.pathname);
    }, 250);
  }

  function recall() {
    const values = new URLSearchParams(location.hash.slice(1));
    const { elements } = filters;
    for (const name of TEXTS) elements[name].value = values.get(name) ?? "";
    for (const name of ["status", "order"]) if (elements[name].selectedIndex < 0) elements[name].selectedIndex = 0;
    const task = tasks.findIndex(({ name }) => name === values.get("task"));
    elements.task.value = task < 0 ? "" : String(task);
    fillLabels();
    const label = task < 0 ? -1 : tasks[task].classes.findIndex((one) => one.label === values.get("label"));
    elements.label.value = label < 0 ? "" : `${task}:${label}`;
    if (elements.label.selectedIndex < 0) elements.label.value = "";
    const corners = (values.get("area") ?? "").split(",").map(Number);
    area = data.position && corners.length >= 6 && corners.length % 2 === 0 && corners.every(Number.isFinite) ? corners : null;
    const colour = [...byId("map-colour").options].findIndex((one) => one.textContent === values.get("colour"));
    if (byId("map-colour").options.length) byId("map-colour").selectedIndex = Math.max(0, colour);
    turn(values.get("view") ?? "works");
    refilter();
    const work = placeOfId.get(values.get("work"));
    if (work !== undefined) openDetail(work);
    else if (dialog.open) dialog.close();
  }

  addEventListener("hashchange", () => { if (location.hash !== written) recall(); });

  // -- Views -------------------------------------------------------------------------------------------------------------

  const VIEWS = { works: true, map: Boolean(data.position), trust: evaluations.length > 0, about: true };

  function turn(to) {
    view = VIEWS[to] ? to : "works";
    for (const tab of byId("views").children) {
      tab.hidden = !VIEWS[tab.dataset.view];
      tab.setAttribute("aria-current", tab.dataset.view === view ? "page" : "false");
    }
    byId("browse").hidden = view !== "works" && view !== "map";
    for (const name of Object.keys(VIEWS)) byId(name).hidden = name !== view;
    byId("empty").hidden = view !== "works" || shown.length > 0;
    filters.elements.order.closest("label").hidden = view === "map";
    if (view === "works") grid.refresh(shown);
    showMap();
    remember();
  }

  // -- Grid --------------------------------------------------------------------------------------------------------------

  const grid = globalThis.artrayGrid({
    list: byId("grid"),
    card,
    tallest() {
      const item = copy("card");
      item.querySelector(".title").textContent = "X\nX";
      item.querySelector(".artist").textContent = "X";
      item.querySelector(".labels").append(...tasksOnCards().flatMap((task) => Array.from({ length: mostLabels()[task] }, (_, i) => scoreBar(tasks.length > 1 && !i ? spaced(tasks[task].name) : "", "X", 0.5))));
      return item;
    },
    covered: () => document.querySelector(".corrections").offsetHeight,
    open: (place) => openDetail(shown[place]),
  });

  const MOST_TASKS = 3; // on a card; the others are in the work's own view
  const MOST_LABELS = 4; // of a task on a card; of more the last line tells how many
  const mostLabels = once(() => data.labels.map(({ said: lists }) => Math.min(MOST_LABELS, (lists ?? []).reduce((most, flat) => Math.max(most, (flat?.length ?? 0) / 2), 1))));
  const tasksOnCards = () => (taskInView() === null ? [...tasks.keys()].slice(0, MOST_TASKS) : [taskInView()]);

  function card(work) {
    const item = copy("card");
    const find = (selector) => item.querySelector(selector);
    find(".mat").append(picture(work, ""));
    find(".strip").style.background = strip(data.palette[work]);
    find(".title").textContent = titleOf(work);
    find(".artist").textContent = FIELDS.artist(work);
    find(".labels").append(...cardLabels(work));
    return item;
  }

  /** The colours as one striped background; from hexadecimal digits alone. */
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

  function cardLabels(work) {
    const nodes = tasksOnCards().filter((task) => isLabelled(work, task)).flatMap((task) => {
      const found = saidOf(work, task);
      const bars = found.slice(0, MOST_LABELS).map(({ place, score }, i) => {
        const more = i === MOST_LABELS - 1 && found.length > MOST_LABELS ? ` and ${found.length - MOST_LABELS} more` : "";
        return scoreBar("", className(task, place) + more, score, isUncertain(work, task));
      });
      if (!bars.length) bars.push(scoreBar("", "no label", scoreOf(work, task), isUncertain(work, task)));
      bars[0].querySelector(".task").textContent = tasks.length > 1 ? spaced(tasks[task].name) : "";
      const correction = correctionOf(work, task);
      if (correction) {
        const name = bars[0].querySelector(".name");
        const own = element("span", `✓ ${told(task, correction.label)}`, "yours");
        own.dir = "auto";
        own.prepend(element("span", "you: ", "unseen"));
        if (agrees(work, task, correction.label)) {
          if (found.length > 1) name.append(" ", element("span", "✓", "yours"));
          else name.replaceChildren(own);
        } else {
          for (const bar of bars) bar.querySelector(".name").replaceChildren(element("s", bar.querySelector(".name").textContent));
          name.append(" ", own);
        }
      }
      return bars;
    });
    if (statusOf(work) !== "ok") nodes.push(element("span", `Not labelled: ${reasonOf(statusOf(work))}`, "reason"));
    return nodes;
  }

  function scoreBar(task, name, score, uncertain = false) {
    const bar = copy("score");
    bar.querySelector(".task").textContent = task;
    bar.querySelector(".name").textContent = name;
    bar.querySelector(".value").replaceChildren(...(uncertain ? [element("span", "uncertain, ", "doubt")] : []), percent(score));
    bar.querySelector(".fill").style.width = `${100 * (score ?? 0)}%`;
    bar.classList.toggle("uncertain", uncertain);
    return bar;
  }

  function picture(work, alternative) {
    const address = data.thumbnail[work];
    if (!address) return element("span", statusOf(work) === "ok" ? "no thumbnail" : "no picture", "none");
    const image = element("img");
    image.decoding = "async";
    image.alt = alternative;
    image.src = address;
    return image;
  }

  // -- Map ---------------------------------------------------------------------------------------------------------------

  const colourNames = [...Array.from({ length: COLOURS }, (_, i) => `--label-${i}`), "--label-rest"];
  const SCORE_STEPS = [0.5, 0.7, 0.85, 0.95];
  let map = null;

  function prepareMap() {
    if (!data.position) return;
    byId("map-colour").append(...tasks.map(({ name }, task) => option(task, spaced(name))), option("score", "score"));
  }

  /** What the map's colours mean: for each work a place in the legend, and the legend's entries. */
  function colouring() {
    const chosen = byId("map-colour").value;
    if (chosen === "score") {
      const key = taskInView() === null ? lowest : scores[taskInView()];
      const step = (score) => SCORE_STEPS.filter((least) => score >= least * 10_000).length;
      const limits = [0, ...SCORE_STEPS, 1];
      return {
        colours: Uint8Array.from(key, (score) => (score === UNSCORED ? COLOURS : step(score))),
        entries: SCORE_STEPS.concat(1).map((_, i) => ({ text: `${percent(limits[i])} to ${percent(limits[i + 1])}`, colour: i })),
        ramp: true,
      };
    }
    const task = Number(chosen);
    const counts = labelCounts()[task];
    const ordered = [...counts.keys()].filter((of) => counts[of]).sort((a, b) => counts[b] - counts[a]);
    const colourOf = new Uint8Array(counts.length).fill(COLOURS);
    ordered.slice(0, COLOURS).forEach((of, colour) => { colourOf[of] = colour; });
    const entries = ordered.slice(0, COLOURS).map((of, colour) => ({ text: className(task, of), value: `${task}:${of}`, number: counts[of], colour }));
    if (ordered.length > COLOURS) entries.push({ text: `${ordered.length - COLOURS} other labels`, colour: COLOURS });
    const { label, said } = data.labels[task];
    const first = said ? (work) => said[work]?.[0] : (work) => label[work];
    return { colours: Uint8Array.from(everyWork, (work) => colourOf[first(work)] ?? COLOURS), entries };
  }

  function showMap() {
    if (view !== "map" || !data.position) return;
    if (tasks.length) {
      const { colours, entries, ramp = false } = colouring();
      byId("map").classList.toggle("ramp", ramp);
      map ??= globalThis.artrayMap({
        canvas: byId("canvas"),
        tip: byId("tip"),
        x: Float32Array.from(data.position.x, (value) => (value === null ? NaN : value / 10_000)),
        y: Float32Array.from(data.position.y, (value) => (value === null ? NaN : value / 10_000)),
        colours: colourNames,
        thumbnail: (work) => data.thumbnail[work],
        describe,
        open: openDetail,
        choose(corners) {
          area = corners;
          if (byId("map-select").getAttribute("aria-pressed") === "true") byId("map-select").click();
          refilter();
        },
      });
      map.show(colours, mask, area);
      byId("legend").replaceChildren(...entries.map(legendEntry));
    }
  }

  function legendEntry({ text, value, number, colour }) {
    const item = element("li");
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = `var(${colourNames[colour]})`;
    const name = element("span", text, "name");
    name.dir = "auto";
    const parts = [swatch, name, ...(number ? [element("span", number.toLocaleString("en"), "value")] : [])];
    if (value === undefined) {
      item.append(...parts);
      return item;
    }
    const toggle = button(undefined, () => {
      const { task, label } = filters.elements;
      const on = label.value === value;
      task.value = "";
      fillLabels();
      label.value = on ? "" : value;
      refilter();
      byId("legend").querySelector(`[data-value="${value}"]`)?.focus();
    });
    toggle.dataset.value = value;
    toggle.setAttribute("aria-pressed", filters.elements.label.value === value);
    toggle.append(...parts);
    item.append(toggle);
    return item;
  }

  function describe(work) {
    const tip = byId("tip");
    tip.hidden = work === null;
    if (work === null) return;
    tip.querySelector(".mat").replaceChildren(picture(work, ""));
    tip.querySelector(".title").textContent = titleOf(work);
    tip.querySelector(".artist").textContent = FIELDS.artist(work);
    tip.querySelector(".labels").textContent = tasks
      .flatMap((_, task) => {
        if (!isLabelled(work, task)) return [];
        const found = saidOf(work, task).map(({ place, score }) => `${className(task, place)} ${percent(score)}`);
        return found.length ? found : [`no label ${percent(scoreOf(work, task))}`];
      })
      .join(" · ");
  }

  // -- Detail ------------------------------------------------------------------------------------------------------------

  const dialog = byId("detail");
  let current = -1; // the work that is shown
  let last = -1; // the last one of the grid's: where previous and next go on from
  let trail = []; // the works from which "works like this" led here
  let seen = 0;

  function openDetail(work) {
    trail = [];
    last = work;
    showDetail(work);
    if (!dialog.open) dialog.showModal();
  }

  async function showDetail(work) {
    current = work;
    const at = shown.indexOf(last);
    byId("position").textContent = work === last && at >= 0 ? `${(at + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}` : "";
    byId("previous").disabled = at <= 0;
    byId("next").disabled = at < 0 || at === shown.length - 1;
    byId("back").hidden = trail.length === 0;
    byId("detail-picture").replaceChildren(picture(work, [titleOf(work), FIELDS.artist(work)].filter(Boolean).join(", ")));
    byId("detail-title").textContent = titleOf(work);
    byId("detail-artist").textContent = FIELDS.artist(work);
    byId("detail-reason").hidden = statusOf(work) === "ok";
    byId("detail-reason").textContent = `Not labelled: ${reasonOf(statusOf(work))}.`;
    for (const id of ["detail-tasks", "detail-palette", "near-list", "detail-record"]) byId(id).replaceChildren();
    for (const id of ["near", "objects", "detail-palette"]) byId(id).hidden = true;
    dialog.scrollTop = 0;
    remember();
    seen += 1;
    const own = seen;
    let details;
    try {
      details = await detailsOf(work);
    } catch (error) {
      byId("detail-reason").hidden = false;
      byId("detail-reason").textContent = error.message;
      return;
    }
    if (own !== seen) return; // another work was opened while this one was read
    const find = (name) => details.record[fields.findIndex((one) => one.name === name)];
    byId("detail-title").textContent = find("title") || data.id[work];
    byId("detail-artist").textContent = find("artist") ?? "";
    if (details.error) byId("detail-reason").textContent += ` (${details.error})`;
    byId("detail-palette").hidden = details.palette.length === 0;
    byId("detail-palette").replaceChildren(...details.palette.map(swatch));
    byId("detail-tasks").replaceChildren(...tasks.flatMap((_, task) => (isLabelled(work, task) ? [answer(work, task, details.scores[task])] : [])));
    byId("detail-record").replaceChildren(...recordOf(work, details));
    showNear(work, details.near);
    showObjects(details.objects);
  }

  function swatch([red, green, blue, share]) {
    const item = element("li");
    const colour = element("span");
    colour.style.backgroundColor = `rgb(${red} ${green} ${blue})`;
    const hex = [red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("");
    item.append(colour, `#${hex} ${percent(share)}`);
    return item;
  }

  function answer(work, task, ranked) {
    const section = copy("task");
    const { classes, name } = tasks[task];
    const { multilabel } = tasks[task];
    section.querySelector("h3").textContent = spaced(name);
    const bars = section.querySelector(".scores");
    for (let i = 0; i < ranked.length; i += 2) {
      const isSaid = multilabel && hasLabel(work, task, ranked[i]);
      const doubtful = isUncertain(work, task) && (isSaid || i === 0);
      const bar = scoreBar("", className(task, ranked[i]), ranked[i + 1], doubtful);
      if (isSaid) bar.querySelector(".name").append(element("span", " ✓ label", "said"));
      bars.append(bar);
    }
    if (!ranked.length) bars.append(scoreBar("", told(task, predicted(work, task)), scoreOf(work, task)));
    const rest = classes.length - ranked.length / 2;
    const hint = section.querySelector(".hint");
    hint.hidden = !ranked.length || rest === 0;
    hint.textContent = `${numbered(rest, "other label", "other labels")} with next to nothing.`;

    (multilabel ? judgeSeveral : judgeOne)(section, work, task);
    return section;
  }

  /** The curator's answer where a work has one label: right, another one, or none of these. */
  function judgeOne(section, work, task) {
    const { classes } = tasks[task];
    const label = data.labels[task].label[work];
    const select = section.querySelector("select");
    const right = section.querySelector("button");
    right.hidden = label === null;
    select.append(option("", "Not checked"));
    classes.forEach((_, place) => {
      const text = className(task, place);
      select.append(option(text, place === label ? `${text} (the model is right)` : text));
    });
    select.append(option(NONE, "None of these"));
    const correction = correctionOf(work, task);
    // A correction from before the last training may name a class that the model no longer has.
    if (correction?.label && !classes.some((one) => one.label === correction.label)) select.append(option(correction.label, correction.label));
    select.value = correction ? correction.label || NONE : "";
    const show = () => right.setAttribute("aria-pressed", label !== null && select.value === className(task, label));
    select.addEventListener("change", () => {
      correct(work, task, select.value === "" ? null : select.value === NONE ? "" : select.value);
      show();
    });
    right.addEventListener("click", () => {
      select.value = right.getAttribute("aria-pressed") === "true" ? "" : className(task, label);
      select.dispatchEvent(new Event("change"));
    });
    show();
  }

  /** The curator's answer where a work may have several labels: right, or a list to which labels are added and from which they are taken. */
  function judgeSeveral(section, work, task) {
    const select = section.querySelector("select");
    const right = section.querySelector("button");
    const list = element("ul", undefined, "chips");
    list.setAttribute("aria-label", "Your labels");
    section.querySelector(".verdict").before(list);
    const own = predicted(work, task);
    const names = () => namesIn(task, correctionOf(work, task)?.label ?? own);
    const change = (label) => {
      correct(work, task, label);
      show();
    };
    const show = () => {
      const correction = correctionOf(work, task);
      const chosen = correction ? names() : [];
      list.hidden = !correction;
      list.replaceChildren(...chosen.map((name) => {
        const item = element("li");
        const remove = button(undefined, () => {
          change(cellOf(task, names().filter((one) => one !== name)));
          select.focus();
        });
        remove.dir = "auto";
        remove.append(name, " ", element("span", "×"), element("span", ", remove", "unseen"));
        item.append(remove);
        return item;
      }));
      if (correction && !chosen.length) list.append(element("li", "none of these"));
      right.setAttribute("aria-pressed", Boolean(correction) && agrees(work, task, correction.label));
      select.replaceChildren(option("", correction ? "Add a label" : "Not checked"));
      const known = tasks[task].classes.map((_, place) => className(task, place));
      for (const name of known) if (!correction || !chosen.includes(name)) select.append(option(name, correction || !namesIn(task, own).includes(name) ? name : `${name} (the model says so)`));
      select.append(option(NONE, "None of these"));
      if (correction) select.append(option(UNCHECKED, "Not checked"));
      select.value = "";
    };
    select.addEventListener("change", () => {
      if (select.value === UNCHECKED) change(null);
      else if (select.value === NONE) change("");
      else if (select.value) change(cellOf(task, [...new Set([...names(), select.value])]));
    });
    right.addEventListener("click", () => change(right.getAttribute("aria-pressed") === "true" ? null : own));
    show();
  }

  function showNear(work, near) {
    byId("near").hidden = near.length === 0;
    for (let i = 0; i < near.length; i += 2) {
      const other = near[i];
      const item = element("li");
      const open = button(undefined, () => {
        trail.push(work);
        showDetail(other);
        byId("detail-title").focus();
      });
      const mat = element("span", undefined, "mat");
      mat.append(picture(other, ""));
      const title = element("span", titleOf(other), "title");
      title.dir = "auto";
      open.title = `${titleOf(other).slice(0, 100)}\n${percent(near[i + 1])} alike`;
      open.append(mat, title, element("span", percent(near[i + 1]), "value"));
      item.append(open);
      byId("near-list").append(item);
    }
  }

  /** Boxes over the picture: an SVG that fits its box as the picture does. */
  function showObjects(objects) {
    const image = byId("detail-picture").querySelector("img");
    byId("objects").hidden = objects.length === 0 || !image;
    if (byId("objects").hidden) return;
    const svg = (name, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      return node;
    };
    const draw = () => {
      const least = Number(byId("objects-threshold").value) / 100;
      byId("objects-from").textContent = percent(least);
      byId("detail-picture").querySelector("svg")?.remove();
      if (!byId("objects-on").checked || !image.naturalWidth) return;
      const [w, h] = [image.naturalWidth, image.naturalHeight];
      const found = objects.filter(([, score]) => score >= least);
      const sheet = svg("svg", { viewBox: `0 0 ${w} ${h}`, class: "boxes", role: "img" });
      sheet.setAttribute("aria-label", found.map(([name, score]) => `${name} ${percent(score)}`).join(", ") || "no object is that sure");
      for (const [name, score, top, left, bottom, right] of found.reverse()) { // the surest on top
        const box = svg("rect", { x: left * w, y: top * h, width: Math.max(0, right - left) * w, height: Math.max(0, bottom - top) * h });
        const text = svg("text", { x: left * w + 3, y: Math.max(top * h, 0) + w * 0.045, "font-size": w * 0.042 });
        text.textContent = `${name} ${percent(score)}`;
        sheet.append(box, text);
      }
      byId("detail-picture").append(sheet);
    };
    byId("objects-on").onchange = draw;
    byId("objects-threshold").oninput = draw;
    image.addEventListener("load", draw);
    draw();
  }

  function recordOf(work, { record, brightness, uri }) {
    const rows = fields
      .map(({ name }, i) => [name, record[i]])
      .filter(([name, value]) => value && name !== "title" && name !== "artist")
      .map(([name, value]) => [spaced(name), value]);
    const nodes = [...rows, ["object id", data.id[work]]].map(([name, value]) => [element("dt", name), element("dd", value)]);
    if (brightness !== null) nodes.push([element("dt", "brightness"), element("dd", `${Math.round(brightness)} of 255`)]);
    tasks.forEach(({ classes }, task) => {
      for (const { place } of saidOf(work, task)) {
        const own = classes[place]?.uri;
        if (own) nodes.push([element("dt", className(task, place)), linked(own, own)]);
      }
    });
    nodes.push([element("dt", "picture"), linked(uri, addressOf(uri))]);
    for (const pair of nodes) pair[1].dir = "auto";
    return nodes.flat();
  }

  /** A link where a browser can follow it, else the text alone (s3://bucket/key, javascript:…). */
  function linked(text, address) {
    const cell = element("dd");
    if (!/^(https?|file):\/\//i.test(address)) {
      cell.textContent = text;
      return cell;
    }
    const link = element("a", text);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    cell.append(link);
    return cell;
  }

  const addressOf = (uri) => (uri.startsWith("/") ? `file://${uri.split("/").map(encodeURIComponent).join("/")}` : uri);

  function step(by) {
    const at = shown.indexOf(last) + by;
    if (shown.indexOf(last) < 0 || at < 0 || at >= shown.length) return;
    trail = [];
    last = shown[at];
    showDetail(last);
  }

  // -- Events ------------------------------------------------------------------------------------------------------------

  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", (event) => {
    if (event.target.name === "task") fillLabels();
    refilter();
  });
  filters.addEventListener("reset", () => {
    area = null;
    setTimeout(() => {
      fillLabels();
      refilter();
    });
  });
  filters.elements.artist.addEventListener("focus", fillArtists);
  byId("area").addEventListener("click", () => {
    area = null;
    refilter();
  });

  byId("views").addEventListener("click", (event) => {
    const to = event.target.closest("button")?.dataset.view;
    if (to) turn(to);
  });
  byId("skip").addEventListener("click", () => {
    turn("works");
    if (shown.length) grid.focus(0);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || dialog.open || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    byId("side").open = true;
    filters.elements.text.focus();
  });

  byId("map-colour").addEventListener("change", () => {
    showMap();
    remember();
  });
  byId("map-in").addEventListener("click", () => map.zoomBy(1.6));
  byId("map-out").addEventListener("click", () => map.zoomBy(1 / 1.6));
  byId("map-fit").addEventListener("click", () => map.fit());
  byId("map-select").addEventListener("click", () => {
    const on = byId("map-select").getAttribute("aria-pressed") !== "true";
    byId("map-select").setAttribute("aria-pressed", on);
    map.select(on);
  });
  byId("map-view").addEventListener("click", () => {
    area = map.bounds();
    refilter();
  });

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("back").addEventListener("click", () => showDetail(trail.pop()));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    // The reader may have walked on: go to the work seen last.
    const at = shown.indexOf(last);
    grid.refresh(shown);
    if (view === "works" && at >= 0) grid.focus(at);
    remember();
  });

  byId("download").addEventListener("click", download);
  byId("load").addEventListener("change", async ({ target }) => {
    if (target.files.length) await load(target.files[0]);
    target.value = ""; // the same file can be loaded again
  });
  addEventListener("beforeunload", (event) => { if (!corrections.kept() && corrections.count()) event.preventDefault(); });

  // Where there is room, the filters stand beside the works and are always open.
  const wide = matchMedia("(min-width: 62rem)");
  const unfold = () => { byId("side").open = wide.matches; };
  wide.addEventListener("change", unfold);
  unfold();

  showSummary();
  showEvaluations();
  fillFilters();
  prepareMap();
  showCorrections();
  recall();
  const idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 200));
  for (const prepare of [searchable, artists, rankOf.title, rankOf.artist, fillArtists]) idle(prepare);
})();
