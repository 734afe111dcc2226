// The curator's page: finds, shows and corrects the works that data/collection.js holds (its shape: page.py).
// The modules are joined into one script by page.py, in the order of its MODULES; this one puts them together.

function makePage() {
  /** @type {PageData} */
  const data = globalThis.artrayPage;
  const works = makeCollection(data);
  const { run, count } = data;
  const corrections = makeCorrections({
    run: String(run.run ?? location.pathname),
    said: data.said.map(([place, task, label, at, by]) => [data.id[place], data.tasks[task].name, { label, at, by }]),
    changed() {
      judging.recount();
      showCorrections();
      grid.refresh();
      work.refresh();
    },
  });
  const judging = makeJudging({ works, corrections, changed: () => showCorrections() });
  const filters = makeFilters({ works, judging, terms: makeTerms(data), changed: filtered });
  const cards = makeCards({ works, judging, taskInView: filters.taskInView });
  const selection = makeSelection({
    works, judging, shown: filters.shown, questions: filters.questionsInView, tell: (text) => showCorrections(text),
    changed: () => {
      grid.mark();
      if (!selection.size()) grid.refresh();
    },
  });
  const grid = makeGrid({
    list: byId("grid"), card: cards.card, tallest: cards.tallest, selection,
    covered: () => byId("footer").offsetHeight,
    open: (place) => work.open(filters.shown()[place]),
  });
  const work = makeWorkView({
    works, judging, shown: filters.shown, questionsInView: filters.questionsInView, detailsOf: makeDetails(data), closed, moved: remember,
  });
  const map = makeMapView({ works, filters, open: work.open, remember });
  const VIEWS = { works: true, map: Boolean(data.position), trust: data.evaluations.length > 0, about: true };
  let view = "works";

  // -- What changes after what -------------------------------------------------------------------------------------------

  /** @param {boolean} keepPlace */
  function filtered(keepPlace) {
    if (keepPlace) grid.refresh(filters.shown());
    else {
      selection.clear();
      grid.show(filters.shown());
      const { top } = byId("browse").getBoundingClientRect();
      if (top < 0) scrollBy(0, top);
    }
    byId("review").disabled = filters.shown().length === 0;
    byId("empty").hidden = view !== "works" || filters.shown().length > 0;
    selection.show();
    map.show();
    remember();
  }

  function closed() {
    // The reader may have walked on: go to the work seen last.
    const at = filters.shown().indexOf(work.last());
    written = location.hash;
    grid.refresh(filters.shown());
    if (view === "works" && at >= 0) grid.focus(at);
    remember();
  }

  /** @param {string} to */
  function turn(to) {
    view = VIEWS[to] ? to : "works";
    for (const tab of byId("views").children) {
      tab.hidden = !VIEWS[tab.dataset.view];
      tab.setAttribute("aria-current", tab.dataset.view === view ? "page" : "false");
    }
    byId("browse").hidden = view !== "works" && view !== "map";
    for (const name of Object.keys(VIEWS)) byId(name).hidden = name !== view;
    byId("empty").hidden = view !== "works" || filters.shown().length > 0;
    filters.form.elements.order.closest("label").hidden = view === "map";
    byId("select-mode").hidden = view === "map"; // there works are chosen by drawing around them
    if (view === "works") grid.refresh(filters.shown());
    map.show();
    remember();
  }

  // -- Corrections -------------------------------------------------------------------------------------------------------

  function showCorrections(note = "") {
    const rows = judging.rows();
    const agreed = rows.filter(([, , label, own]) => label === own).length;
    const unsaved = corrections.kept() ? "" : ` ${say("not_kept")}`;
    const sum = rows.length
      ? `${say("labels_checked", { n: rows.length })} ${say("confirmed_and_changed", { n: agreed, changed: rows.length - agreed })}${unsaved}`
      : say("none_checked");
    byId("corrections").textContent = note ? `${note} ${sum}` : sum;
    byId("download").disabled = rows.length === 0;
    byId("undo").hidden = !judging.canUndo();
    const earlier = rows.length ? null : corrections.earlier();
    byId("adopt").hidden = !earlier;
    if (!earlier) return;
    byId("adopt").textContent = say("take_over", { n: earlier.count });
    byId("adopt").onclick = () => {
      corrections.adopt(earlier.key);
      judging.recount();
      showCorrections();
      filters.refilter({ keepPlace: true });
    };
  }

  function download() {
    const url = URL.createObjectURL(new Blob([asCsv([CORRECTIONS_HEADER, ...judging.rows()])], { type: "text/csv" }));
    const link = element("a");
    link.href = url;
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  /** @param {File} file */
  async function load(file) {
    const names = new Set(works.tasks.map(({ name }) => name));
    const result = corrections.load(await file.text(), (id, task) => works.placeOfId.has(id) && names.has(task));
    if (!result) {
      showCorrections(say("no_corrections_in", { file: file.name }));
      return;
    }
    const left = result.left ? say("left_out_not_here", { n: result.left }) : "";
    judging.recount();
    showCorrections(`${say("n_read", { n: result.taken })}${left}.`);
    filters.refilter();
  }

  /** Takes back the last act, wherever the reader is. */
  function undo() {
    if (work.isOpen()) {
      work.undo();
      return;
    }
    const act = judging.undo();
    showCorrections(act ? `${say("undone", { n: act.count })}.` : "");
    grid.refresh();
  }

  // -- The address holds the view ------------------------------------------------------------------------------------------

  let written = location.hash;
  let writing = 0;

  function remember() {
    // Browsers refuse an address that changes at every key press.
    clearTimeout(writing);
    writing = setTimeout(() => {
      const values = new URLSearchParams();
      if (view !== "works") values.set("view", view);
      filters.remember(values);
      map.remember(values);
      if (work.isOpen()) values.set("work", data.id[work.current()]);
      written = values.size ? `#${values}` : "";
      if (written !== location.hash) history.replaceState(history.state, "", written || location.pathname);
    }, 250);
  }

  function recall() {
    const values = new URLSearchParams(location.hash.slice(1));
    filters.recall(values);
    map.recall(values);
    turn(values.get("view") ?? "works");
    filters.refilter();
    const place = works.placeOfId.get(values.get("work") ?? "");
    if (place !== undefined) work.open(place);
    else if (work.isOpen()) work.close();
  }

  addEventListener("hashchange", () => { if (location.hash !== written) recall(); });

  // -- Head and about ------------------------------------------------------------------------------------------------------

  /** That a model can't be relied on; its own words, which name the figures, are English. @param {string} doubt */
  const doubted = (doubt) => (LANGUAGE === "en" ? doubt : say("doubted"));

  function showSummary() {
    const title = String(run.title || say("collection_labels"));
    document.title = title;
    byId("title").textContent = title;
    const failed = works.everyWork.filter((one) => works.statusOf(one) !== "ok");
    byId("summary").textContent = [
      say("summary.works", { n: count }), say("summary.labelled", { n: count - failed.length }), `${say("summary.models", { n: works.models.length })}.`,
      ...(run.shown ? [`${run.shown}.`] : []), say("summary.first"),
    ].join(" ");

    byId("doubts").replaceChildren(...works.tasks.flatMap(({ name, models }) => models.flatMap(({ doubt }) => (doubt ? [element("li", `${spaced(name)}: ${doubted(doubt)}`)] : []))));
    byId("doubts").hidden = byId("doubts").children.length === 0;

    byId("failures").hidden = failed.length === 0;
    byId("failures-title").textContent = say("n_not_labelled", { n: failed.length });
    for (const [status, number] of countBy(failed, works.statusOf)) {
      const item = element("li");
      item.append(button(`${grouped(number)} × ${reasonOf(status)}`, () => filters.setStatus(`status:${status}`)));
      byId("failure-reasons").append(item);
    }

    const about = Object.entries(run).filter(([name]) => name !== "title").map(([name, value]) => [isSayable(`run.${name}`) ? say(`run.${name}`) : spaced(name), String(value)]);
    for (const { name, models } of works.tasks) {
      for (const { id, threshold, doubt } of models) {
        const limit = doubt ? `; ${doubted(doubt)}` : threshold === null ? "" : threshold > 1 ? `; ${say("all_uncertain")}` : `; ${say("uncertain_below", { score: percent(threshold) })}`;
        about.push([say("model_for", { task: spaced(name) }), `${id}${limit}`]);
      }
    }
    byId("run").append(...about.flatMap((pair) => [element("dt", pair[0]), element("dd", pair[1])]));
  }

  // -- Events --------------------------------------------------------------------------------------------------------------

  byId("views").addEventListener("click", (event) => {
    const to = event.target.closest("button")?.dataset.view;
    if (to) turn(to);
  });
  byId("skip").addEventListener("click", () => {
    turn("works");
    if (filters.shown().length) grid.focus(0);
  });
  byId("review").addEventListener("click", () => {
    const wanted = filters.questionsInView();
    const open = filters.shown().find((one) => judging.asked(one, wanted).some((question) => !judging.isAnswered(one, question)));
    work.open(open ?? filters.shown()[0]);
  });
  addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (work.isOpen() || target.matches("input, select, textarea") || event.altKey) return;
    const isUndo = event.ctrlKey || event.metaKey ? event.key.toLowerCase() === "z" : event.key.toLowerCase() === "u";
    if (isUndo) {
      event.preventDefault();
      undo();
    } else if (event.key === "/" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      byId("side").open = true;
      filters.form.elements.text.focus();
    } else if (event.key === "?" && !event.ctrlKey && !event.metaKey) turn("about");
  });

  byId("undo").addEventListener("click", undo);
  byId("download").addEventListener("click", download);
  byId("load").addEventListener("change", async ({ target }) => {
    if (target.files.length) await load(target.files[0]);
    target.value = ""; // the same file can be loaded again
  });
  byId("reviewer").value = reviewer.name;
  byId("reviewer").addEventListener("change", ({ target }) => { reviewer.name = target.value; });
  addEventListener("beforeunload", (event) => { if (!corrections.kept() && corrections.count()) event.preventDefault(); });

  // Where there is room, the filters stand beside the works and are always open.
  const wide = matchMedia("(min-width: 62rem)");
  const unfold = () => { byId("side").open = wide.matches; };
  wide.addEventListener("change", unfold);
  unfold();

  showSummary();
  makeTrust({
    works,
    openCell(evaluation, truth, said) {
      turn("works");
      filters.setCell(evaluation, truth, said);
    },
  });
  makePrint({ works, cards, shown: filters.shown, isWorkOpen: work.isOpen, view: () => view });
  filters.fill();
  showCorrections();
  recall();
  const idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(act, 200));
  for (const prepare of [works.searchable, works.artists, () => works.ordered("title", null), () => works.ordered("artist", null), works.labelCounts, works.choices, filters.fillArtists]) idle(prepare);
}

makePage();
