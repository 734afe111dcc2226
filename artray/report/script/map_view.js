// The map's view: what its colours mean, what stands on it, and its tools.

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Filters} options.filters
 * @param {(work: number) => void} options.open
 * @param {() => void} options.remember
 */
function makeMapView({ works, filters, open, remember }) {
  const COLOURS = 10; // of labels; the names of the CSS variables are --label-0 to --label-9, and --label-rest
  const SCORE_STEPS = [0.5, 0.7, 0.85, 0.95];
  const { data, tasks, everyWork } = works;
  const colourNames = [...Array.from({ length: COLOURS }, (_, i) => `--label-${i}`), "--label-rest"];
  const axis = (values) => Float32Array.from(values, (value) => (value === null ? NaN : value / 10_000));
  const position = once(() => ({ x: axis(data.position?.x ?? []), y: axis(data.position?.y ?? []) }));
  /** @type {ReturnType<typeof makeMap> | null} */
  let map = null;

  const firstOf = (task) => {
    const { label, said } = data.labels[task];
    return said ? (work) => said[work]?.[0] : (work) => label[work];
  };
  const layouts = {
    alike: () => ({ ...position(), names: /** @type {MapName[] | null} */ (null), room: 0 }),
    date: once(() => inBlocks(works.count, bySpan(everyWork.map((work) => (position().x[work] >= 0 ? yearOf(works.dateOf(work)) : null))))),
    label: () => inBlocks(works.count, byLabel(Number(byId("map-colour").value) || 0)),
  };
  let laid = "alike";

  /** @param {number} task */
  function byLabel(task) {
    const first = firstOf(task);
    /** @type {Map<number, number[]>} */
    const groups = new Map();
    for (const work of everyWork) {
      const label = first(work);
      if (typeof label !== "number" || Number.isNaN(position().x[work])) continue;
      const known = groups.get(label);
      if (known) known.push(work);
      else groups.set(label, [work]);
    }
    return [...groups].sort(([, a], [, b]) => b.length - a.length)
      .map(([label, own]) => ({ text: works.className(task, label), works: own.sort((a, b) => works.scores[task][b] - works.scores[task][a]) }));
  }

  const names = tasks.map((_, task) => once(() => groupNames(position().x, position().y, firstOf(task), (place) => works.className(task, place))));

  /** What the map's colours mean: for each work a place in the legend, and the legend's entries. */
  function colouring() {
    const chosen = byId("map-colour").value;
    if (chosen === "score") {
      const task = filters.taskInView();
      const key = task === null ? works.lowest : works.scores[task];
      const step = (score) => SCORE_STEPS.filter((least) => score >= least * 10_000).length;
      const limits = [0, ...SCORE_STEPS, 1];
      return {
        colours: Uint8Array.from(key, (score) => (score === UNSCORED ? COLOURS : step(score))),
        entries: SCORE_STEPS.concat(1).map((_, i) => ({ text: say("from_to", { from: percent(limits[i]), to: percent(limits[i + 1]) }), colour: i })),
        ramp: true,
        task,
      };
    }
    const task = Number(chosen);
    const counts = works.labelCounts()[task];
    const ordered = [...counts.keys()].filter((of) => counts[of]).sort((a, b) => counts[b] - counts[a]);
    const colourOf = new Uint8Array(counts.length).fill(COLOURS);
    ordered.slice(0, COLOURS).forEach((of, colour) => { colourOf[of] = colour; });
    /** @type {{text: string, colour: number, value?: string, number?: number}[]} */
    const entries = ordered.slice(0, COLOURS).map((of, colour) => ({ text: works.className(task, of), value: `${task}:${of}`, number: counts[of], colour }));
    if (ordered.length > COLOURS) entries.push({ text: say("other_labels", { n: ordered.length - COLOURS }), colour: COLOURS });
    const first = firstOf(task);
    return { colours: Uint8Array.from(everyWork, (work) => colourOf[/** @type {number} */ (first(work))] ?? COLOURS), entries, ramp: false, task };
  }

  function show() {
    if (!data.position || !tasks.length || byId("map").hidden) return;
    const { colours, entries, ramp, task } = colouring();
    byId("map").classList.toggle("ramp", ramp);
    map ??= makeMap({
      canvas: byId("canvas"), tip: byId("tip"), ...position(), colours: colourNames,
      thumbnail: (work) => data.thumbnail[work], describe, open,
      choose(corners) {
        if (byId("map-select").getAttribute("aria-pressed") === "true") byId("map-select").click();
        filters.setArea(corners);
      },
    });
    const layout = byId("map-layout").value || "alike";
    const lying = layouts[layout]();
    // By label another task's labels lie elsewhere.
    const key = layout === "label" ? `${layout} ${byId("map-colour").value}` : layout;
    if (key !== laid) map.lay(lying.x, lying.y, lying.room);
    laid = key;
    for (const id of ["map-select", "map-view"]) byId(id).hidden = layout !== "alike"; // an area is one of likeness
    map.show(colours, filters.mask(), layout === "alike" ? filters.area() : null, byId("map-names").checked ? lying.names ?? names[task ?? 0]() : []);
    byId("legend").replaceChildren(...entries.map(legendEntry));
  }

  /** @param {{text: string, value?: string, number?: number, colour: number}} entry */
  function legendEntry({ text, value, number, colour }) {
    const item = element("li");
    const swatch = element("span", undefined, "swatch");
    swatch.style.background = `var(${colourNames[colour]})`;
    const parts = [swatch, foreign("span", text, "name"), ...(number ? [element("span", grouped(number), "value")] : [])];
    if (value === undefined) {
      item.append(...parts);
      return item;
    }
    const toggle = button(undefined, () => {
      filters.toggleLabel(value);
      byId("legend").querySelector(`[data-value="${value}"]`)?.focus();
    });
    toggle.dataset.value = value;
    toggle.setAttribute("aria-pressed", filters.form.elements.label.value === value);
    toggle.append(...parts);
    item.append(toggle);
    return item;
  }

  /** @param {number | null} work */
  function describe(work) {
    const tip = byId("tip");
    tip.hidden = work === null;
    if (work === null) return;
    tip.querySelector(".mat").replaceChildren(picture(works, work, ""));
    tip.querySelector(".title").textContent = works.titleOf(work);
    tip.querySelector(".artist").textContent = works.artistOf(work);
    tip.querySelector(".labels").textContent = tasks
      .flatMap((_, task) => {
        if (!works.isLabelled(work, task)) return [];
        const found = works.saidOf(work, task).map(({ place, score }) => `${works.className(task, place)} ${percent(score)}`);
        return found.length ? found : [`${say("no_label")} ${percent(works.scoreOf(work, task))}`];
      })
      .join(" · ");
  }

  if (data.position) byId("map-colour").append(...tasks.map(({ name }, task) => option(task, spaced(name))), option("score", say("score")));
  for (const id of ["map-colour", "map-names", "map-layout"]) {
    byId(id).addEventListener("change", () => {
      show();
      remember();
    });
  }
  byId("map-in").addEventListener("click", () => map?.zoomBy(1.6));
  byId("map-out").addEventListener("click", () => map?.zoomBy(1 / 1.6));
  byId("map-fit").addEventListener("click", () => map?.fit());
  byId("map-select").addEventListener("click", () => {
    const on = byId("map-select").getAttribute("aria-pressed") !== "true";
    byId("map-select").setAttribute("aria-pressed", String(on));
    map?.select(on);
  });
  byId("map-view").addEventListener("click", () => filters.setArea(map?.bounds() ?? null));

  return {
    show,
    /** @param {URLSearchParams} values */
    remember(values) {
      if (byId("map-layout").value !== "alike") values.set("layout", byId("map-layout").value);
      if (byId("map-colour").selectedIndex > 0) values.set("colour", byId("map-colour").selectedOptions[0].textContent);
    },
    /** @param {URLSearchParams} values */
    recall(values) {
      byId("map-layout").value = values.get("layout") ?? "alike";
      if (byId("map-layout").selectedIndex < 0) byId("map-layout").value = "alike";
      const { options } = byId("map-colour");
      const colour = [...options].findIndex((one) => one.textContent === values.get("colour"));
      if (options.length) byId("map-colour").selectedIndex = Math.max(0, colour);
    },
  };
}
