// The curator's page: filters, pages through and corrects the collection that data.js holds (its shape: page.py).
// Every text of the collection goes through textContent or an option's value; nothing here builds markup from text.
"use strict";

(() => {
  const PAGE_SIZE = 60; // whole rows at 2, 3, 4, 5 and 6 columns
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

  const { run, fields, tasks, evaluations, works } = globalThis.artrayPage;
  const TITLE = fields.indexOf("title");
  const ARTIST = fields.indexOf("artist");

  const byId = (id) => document.getElementById(id);
  const copy = (template) => byId(template).content.firstElementChild.cloneNode(true);
  const reasonOf = (status) => REASONS[status] ?? status;
  const spaced = (name) => name.replaceAll("_", " ");
  const numbered = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  // Search finds "Gérôme" for "gerome".
  const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

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

  /** A share as a reader says it: 0.873 is "87 %", 0.9996 is not yet "100 %". */
  function percent(share, decimals = 0) {
    if (share === null || share === undefined) return "–";
    const smallest = 10 ** -decimals;
    const shown = (100 * share).toFixed(decimals);
    if (share > 0 && Number(shown) === 0) return `<\u00a0${smallest}\u00a0%`;
    if (share < 1 && Number(shown) === 100) return `>\u00a0${100 - smallest}\u00a0%`;
    return `${shown}\u00a0%`;
  }

  const titleOf = (work) => work.record[TITLE] || work.id;
  const artistOf = (work) => work.record[ARTIST] || "";
  const fileOf = (work) => work.uri.slice(work.uri.lastIndexOf("/") + 1);
  const className = (task, place) => tasks[task].classes[place]?.label ?? "no label";

  // What the filters compare, worked out once: 20,000 works are searched at every key press.
  const searchText = works.map((work) => folded(`${titleOf(work)}\n${work.id}\n${fileOf(work)}`));
  const artistText = works.map((work) => folded(artistOf(work)));
  const lowestScore = works.map((work) => Math.min(...work.labels.map((label) => label?.score ?? 1)));

  // -- Corrections -----------------------------------------------------------------------------------------------

  // Kept in the browser under the page's own address, so that a closed window loses nothing.
  const STORAGE_KEY = `artray corrections ${location.pathname}`;
  const keyOf = (work, task) => JSON.stringify([work.id, tasks[task].name]);
  let corrections = new Map();
  let stored = true;

  function loadCorrections() {
    try {
      corrections = new Map(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]"));
    } catch {
      stored = false;
    }
  }

  function correct(work, task, label) {
    if (label) corrections.set(keyOf(work, task), { label, at: new Date().toISOString() });
    else corrections.delete(keyOf(work, task));
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify([...corrections]));
    } catch {
      stored = false;
    }
    showCorrections();
  }

  const isCorrected = (work) => tasks.some((_, task) => corrections.has(keyOf(work, task)));

  /** The corrections as rows, in the collection's order; one that agrees with the model is a confirmation. */
  function correctionRows() {
    const rows = [];
    for (const work of works) {
      tasks.forEach(({ name }, task) => {
        const correction = corrections.get(keyOf(work, task));
        const label = work.labels[task];
        if (correction && label) {
          const predicted = label.label === null ? "" : className(task, label.label);
          rows.push([work.id, name, correction.label, predicted, label.score ?? "", correction.at]);
        }
      });
    }
    return rows;
  }

  /** RFC 4180. */
  function csv(rows) {
    const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
  }

  function showCorrections() {
    const rows = correctionRows();
    const agreed = rows.filter(([, , label, predicted]) => label === predicted).length;
    const unsaved = stored ? "" : " This browser does not keep them: download before you close the page.";
    byId("corrections").textContent = rows.length
      ? `${numbered(rows.length, "label", "labels")} checked, ${agreed} confirmed and ${rows.length - agreed} changed.${unsaved}`
      : "No label checked yet.";
    byId("download").disabled = rows.length === 0;
  }

  function download() {
    const header = ["object_id", "task", "label", "predicted", "score", "corrected_at"];
    const url = URL.createObjectURL(new Blob([csv([header, ...correctionRows()])], { type: "text/csv" }));
    const link = element("a");
    link.href = url;
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  // -- Head: counts, failures, evaluations -----------------------------------------------------------------------

  function showSummary() {
    const title = run.title || "Collection labels";
    document.title = title;
    byId("title").textContent = title;
    const failed = works.filter((work) => work.status !== "ok");
    const models = new Set(tasks.flatMap((task) => task.models)).size;
    byId("summary").textContent =
      `${numbered(works.length, "work", "works")}, ${numbered(works.length - failed.length, "of them labelled", "of them labelled")}` +
      ` by ${numbered(models, "model", "models")}. The least certain come first: there your eye helps most.`;

    byId("failures").hidden = failed.length === 0;
    byId("failures-title").textContent = `${numbered(failed.length, "picture", "pictures")} could not be labelled`;
    for (const [status, count] of countBy(failed, (work) => work.status)) {
      const button = element("button", `${count.toLocaleString("en")} × ${reasonOf(status)}`);
      button.type = "button";
      button.addEventListener("click", () => {
        filters.reset();
        filters.elements.show.value = `status:${status}`;
        byId("works").focus();
        byId("works").scrollIntoView();
        refilter();
      });
      const item = element("li");
      item.append(button);
      byId("failure-reasons").append(item);
    }

    for (const [name, value] of Object.entries({ ...run, models: tasks.flatMap((task) => task.models).join(", ") })) {
      if (name !== "title") byId("run").append(element("dt", spaced(name)), element("dd", String(value)));
    }
  }

  function countBy(items, key) {
    const counts = new Map();
    for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
    return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  }

  function showEvaluations() {
    byId("evaluation").hidden = evaluations.length === 0;
    for (const evaluation of evaluations) {
      const panel = copy("panel");
      const find = (selector) => panel.querySelector(selector);
      const levels = Object.entries(evaluation.levels); // artwork before patch
      const [unit, level] = levels[0];
      find("h3").textContent = spaced(evaluation.task);
      find(".accuracy").textContent = percent(level.accuracy);
      find(".of").textContent = `of ${numbered(level.n, unit, `${unit}s`)} right`;
      find(".compared").append(
        ...levels.map(([name, { accuracy }]) => scoreBar("", `This model, by ${name}`, accuracy)),
        ...(level.balanced_accuracy === null ? [] : [scoreBar("", "Every label counting alike", level.balanced_accuracy)]),
        scoreBar("", "Always the most frequent label", evaluation.majority_share),
      );
      find(".model").textContent = `Model ${evaluation.model_id}`;
      find(".scroll").setAttribute("aria-label", `Confusion matrix of ${spaced(evaluation.task)}`);
      find("details").open = evaluation.classes.length <= 8 && matchMedia("(min-width: 60rem)").matches;
      fillConfusion(find("table"), evaluation.classes, level.confusion);
      byId("panels").append(panel);
    }
  }

  function fillConfusion(table, classes, confusion) {
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
      const total = counts.reduce((sum, count) => sum + count, 0);
      const line = element("tr");
      line.append(heading(classes[row], "row"));
      counts.forEach((count, column) => {
        const cell = element("td", count.toLocaleString("en"), column === row ? "right" : "");
        cell.style.setProperty("--share", total ? count / total : 0);
        line.append(cell);
      });
      line.append(element("td", total ? percent(counts[row] / total) : "–", "recall"));
      table.tBodies[0].append(line);
    });
  }

  // -- Filters -----------------------------------------------------------------------------------------------------

  const filters = byId("filters");
  let shown = []; // places in `works`, in the order of the page
  let page = 0;

  function fillFilters() {
    const { task, show } = filters.elements;
    task.append(option("", "All tasks"), ...tasks.map(({ name }, place) => option(place, spaced(name))));
    filters.querySelector("[data-for=task]").hidden = tasks.length < 2;
    show.append(option("", "All works"), option("ok", "Labelled"), option("failed", "Not labelled"));
    for (const [status] of countBy(works.filter((work) => work.status !== "ok"), (work) => work.status)) {
      show.append(option(`status:${status}`, `Not labelled: ${reasonOf(status)}`));
    }
    show.append(option("checked", "Checked by you"), option("unchecked", "Not yet checked"));
    const artists = new Set(works.map(artistOf));
    artists.delete("");
    byId("artists").append(...[...artists].sort(new Intl.Collator().compare).map((name) => option(name)));
    fillLabels();
  }

  /** The label menu holds the labels that the chosen task, or any task, really gave. */
  function fillLabels() {
    const { task, label } = filters.elements;
    const groups = tasks.flatMap(({ name, classes }, place) => {
      if (task.value !== "" && Number(task.value) !== place) return [];
      const counts = new Map(countBy(works.filter((work) => work.labels[place]), (work) => work.labels[place].label));
      const group = element("optgroup");
      group.label = spaced(name);
      classes.forEach((_, of) => {
        if (counts.has(of)) {
          group.append(option(`${place}:${of}`, `${className(place, of)} (${counts.get(of).toLocaleString("en")})`));
        }
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

  function refilter() {
    const get = (name) => filters.elements[name].value;
    const task = taskInView();
    const label = get("label") === "" ? null : Number(get("label").split(":")[1]);
    const text = folded(get("text").trim());
    const artist = folded(get("artist").trim());
    const least = get("least") === "" ? -Infinity : Number(get("least")) / 100;
    const most = get("most") === "" ? Infinity : Number(get("most")) / 100;
    const anyScore = least === -Infinity && most === Infinity;
    const show = get("show");

    // Works without a label have no score: they stand behind all others, and no filter of labels finds them.
    const scoreOf = (place) => (task === null ? lowestScore[place] : (works[place].labels[task]?.score ?? 1));
    const isLabelled = (work) => (task === null ? work.labels.some(Boolean) : Boolean(work.labels[task]));
    const matches = {
      "": () => true,
      ok: (work) => work.status === "ok",
      failed: (work) => work.status !== "ok",
      checked: isCorrected,
      unchecked: (work) => work.status === "ok" && !isCorrected(work),
    };
    const hasStatus = matches[show] ?? ((work) => `status:${work.status}` === show);

    shown = [];
    works.forEach((work, place) => {
      if (!hasStatus(work)) return;
      if (text && !searchText[place].includes(text)) return;
      if (artist && !artistText[place].includes(artist)) return;
      if (label !== null && work.labels[task]?.label !== label) return;
      if (!anyScore && !(isLabelled(work) && scoreOf(place) >= least && scoreOf(place) <= most)) return;
      shown.push(place);
    });

    const collator = new Intl.Collator("en", { numeric: true });
    const behind = (place) => (isLabelled(works[place]) ? 0 : 1);
    const orders = {
      uncertain: (a, b) => behind(a) - behind(b) || scoreOf(a) - scoreOf(b),
      certain: (a, b) => behind(a) - behind(b) || scoreOf(b) - scoreOf(a),
      title: (a, b) => collator.compare(titleOf(works[a]), titleOf(works[b])),
      artist: (a, b) => collator.compare(artistOf(works[a]) || "\uffff", artistOf(works[b]) || "\uffff"),
    };
    shown.sort(orders[get("order")]); // stable: by object_id where equal
    page = 0;
    showPage();
  }

  // -- Grid --------------------------------------------------------------------------------------------------------

  const lastPage = () => Math.max(0, Math.ceil(shown.length / PAGE_SIZE) - 1);

  function showPage() {
    const first = page * PAGE_SIZE;
    const visible = shown.slice(first, first + PAGE_SIZE);
    byId("count").textContent = shown.length
      ? `${(first + 1).toLocaleString("en")}–${(first + visible.length).toLocaleString("en")} of ${numbered(shown.length, "work", "works")}`
      : "No works";
    byId("grid").replaceChildren(...visible.map((place) => card(works[place], place)));
    if (!shown.length) byId("grid").append(element("li", "No work fits these filters.", "empty"));
    for (const pager of document.querySelectorAll(".pager")) fillPager(pager);
  }

  function fillPager(pager) {
    const last = lastPage();
    pager.hidden = last === 0;
    const step = (text, label, to) => {
      const button = element("button", text);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.disabled = to < 0 || to > last;
      button.addEventListener("click", () => turnTo(to));
      return button;
    };
    const choice = element("select");
    choice.setAttribute("aria-label", "Page");
    for (let i = 0; i <= last; i += 1) choice.append(option(i, `${i + 1} of ${last + 1}`));
    choice.value = page;
    choice.addEventListener("change", () => turnTo(Number(choice.value)));
    pager.replaceChildren(step("←", "Previous page", page - 1), choice, step("→", "Next page", page + 1));
  }

  function turnTo(to) {
    page = to;
    showPage();
    byId("works").focus({ preventScroll: true });
    byId("count").scrollIntoView({ block: "start" });
  }

  function card(work, place) {
    const item = copy("card");
    const find = (selector) => item.querySelector(selector);
    find(".card").dataset.place = place;
    find(".mat").append(picture(work, ""));
    find(".strip").append(...work.palette.map(([red, green, blue, share]) => {
      const colour = element("span");
      colour.style.flexGrow = share;
      colour.style.backgroundColor = `rgb(${red} ${green} ${blue})`;
      return colour;
    }));
    find(".title").textContent = titleOf(work);
    find(".artist").textContent = artistOf(work);
    find(".labels").append(...cardLabels(work));
    return item;
  }

  function cardLabels(work) {
    const inView = taskInView();
    const nodes = [];
    work.labels.forEach((label, task) => {
      if (!label || (inView !== null && inView !== task)) return;
      nodes.push(scoreBar(tasks.length > 1 ? spaced(tasks[task].name) : "", className(task, label.label), label.score));
      const correction = corrections.get(keyOf(work, task));
      if (correction) nodes.push(element("span", `✓ you: ${correction.label}`, "yours"));
    });
    if (work.status !== "ok") nodes.push(element("span", `Not labelled: ${reasonOf(work.status)}`, "reason"));
    return nodes;
  }

  function scoreBar(task, name, score) {
    const bar = copy("score");
    bar.querySelector(".task").textContent = task;
    bar.querySelector(".name").textContent = name;
    bar.querySelector(".value").textContent = percent(score);
    bar.querySelector(".fill").style.width = `${100 * (score ?? 0)}%`;
    return bar;
  }

  function picture(work, alternative) {
    if (!work.thumbnail) return element("span", work.status === "ok" ? "no thumbnail" : "no picture", "none");
    const image = element("img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = alternative;
    image.src = work.thumbnail;
    return image;
  }

  // -- Detail ------------------------------------------------------------------------------------------------------

  const dialog = byId("detail");
  let current = 0; // place in `shown`

  function showDetail(at) {
    current = at;
    const work = works[shown[at]];
    byId("position").textContent = `${(at + 1).toLocaleString("en")} of ${shown.length.toLocaleString("en")}`;
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === shown.length - 1;
    byId("detail-picture").replaceChildren(picture(work, [titleOf(work), artistOf(work)].filter(Boolean).join(", ")));
    byId("detail-palette").hidden = work.palette.length === 0;
    byId("detail-palette").replaceChildren(...work.palette.map(swatch));
    byId("detail-title").textContent = titleOf(work);
    byId("detail-artist").textContent = artistOf(work);
    byId("detail-reason").hidden = work.status === "ok";
    byId("detail-reason").textContent = `Not labelled: ${reasonOf(work.status)}.${work.error ? ` (${work.error})` : ""}`;
    byId("detail-tasks").replaceChildren(...tasks.flatMap((_, task) => (work.labels[task] ? [answer(work, task)] : [])));
    byId("detail-record").replaceChildren(...recordOf(work));
    dialog.scrollTop = 0;
  }

  function swatch([red, green, blue, share]) {
    const item = element("li");
    const colour = element("span");
    colour.style.backgroundColor = `rgb(${red} ${green} ${blue})`;
    const hex = [red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("");
    item.append(colour, `#${hex} ${percent(share)}`);
    return item;
  }

  function answer(work, task) {
    const section = copy("task");
    const { classes, name } = tasks[task];
    const { label, score, scores } = work.labels[task];
    section.querySelector("h3").textContent = spaced(name);
    const bars = section.querySelector(".scores");
    for (let i = 0; i < scores.length; i += 2) bars.append(scoreBar("", className(task, scores[i]), scores[i + 1]));
    if (!scores.length) bars.append(scoreBar("", className(task, label), score));
    const rest = classes.length - scores.length / 2;
    const hint = section.querySelector(".hint");
    hint.hidden = !scores.length || rest === 0;
    hint.textContent = `${numbered(rest, "other label", "other labels")} with next to nothing.`;
    const select = section.querySelector("select");
    select.append(option("", "Not checked"));
    classes.forEach((_, place) => {
      const text = className(task, place);
      select.append(option(text, place === label ? `${text} (the model is right)` : text));
    });
    const correction = corrections.get(keyOf(work, task))?.label ?? "";
    // A correction from before the last training may name a class that the model no longer has.
    if (correction && !classes.some((one) => one.label === correction)) select.append(option(correction, correction));
    select.value = correction;
    select.addEventListener("change", () => correct(work, task, select.value));
    return section;
  }

  function recordOf(work) {
    const rows = fields
      .map((field, i) => [spaced(field), work.record[i]])
      .filter(([, value], i) => value && i !== TITLE && i !== ARTIST);
    const nodes = [...rows, ["object id", work.id]].map(([name, value]) => [element("dt", name), element("dd", value)]);
    if (work.brightness !== null) {
      nodes.push([element("dt", "brightness"), element("dd", `${Math.round(work.brightness)} of 255`)]);
    }
    work.labels.forEach((label, task) => {
      const uri = label && tasks[task].classes[label.label]?.uri;
      if (uri) nodes.push([element("dt", className(task, label.label)), linked(uri, uri)]);
    });
    nodes.push([element("dt", "picture"), linked(work.uri, addressOf(work.uri))]);
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
    const at = current + by;
    if (at >= 0 && at < shown.length) showDetail(at);
  }

  // -- Events ------------------------------------------------------------------------------------------------------

  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("input", (event) => {
    if (event.target.name === "task") fillLabels();
    refilter();
  });
  filters.addEventListener("reset", () => setTimeout(() => { fillLabels(); refilter(); }));

  byId("grid").addEventListener("click", (event) => {
    const button = event.target.closest(".card");
    if (!button) return;
    showDetail(shown.indexOf(Number(button.dataset.place)));
    dialog.showModal();
  });

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("close", () => {
    // The reader may have walked on to another page of the grid: go there, to the work seen last.
    page = Math.floor(current / PAGE_SIZE);
    showPage();
    document.querySelector(`.card[data-place="${shown[current]}"]`)?.focus();
  });

  byId("download").addEventListener("click", download);
  addEventListener("storage", (event) => {
    if (event.key !== STORAGE_KEY) return;
    loadCorrections(); // another window of the same page
    showCorrections();
    showPage();
  });
  addEventListener("beforeunload", (event) => { if (!stored && corrections.size) event.preventDefault(); });

  loadCorrections();
  showSummary();
  showEvaluations();
  fillFilters();
  showCorrections();
  refilter();
})();
