// A grid of thousands of cards, of which only those in view are in the document.

/**
 * @param {object} options
 * @param {HTMLElement} options.list holds the cards; the window scrolls.
 * @param {(work: number) => any} options.card makes the list item of a work.
 * @param {() => any} options.tallest makes a list item as high as any of them.
 * @param {() => number} options.covered how much of the window's end something else covers, in pixels.
 * @param {(place: number) => void} options.open called with a place in the grid, when its card is clicked.
 * @param {Chosen} options.selection the works that are chosen together.
 */
function makeGrid({ list, card, tallest, covered, open, selection }) {
  const LEAST_WIDTH = 200;
  const LEAST_COLUMNS = 2;
  const ROWS_BEYOND = 2; // made above and below what is in view, so that slow scrolling shows no gaps

  let works = [];
  let active = 0; // the one card that the tab key reaches
  let columns = 1;
  let [width, height, gap] = [0, 0, 0];
  let coming = 0;
  let anchor = 0; // where a range of chosen works begins
  /** Place in the grid -> list item. @type {Map<number, any>} */
  const made = new Map();

  function measure() {
    const space = list.clientWidth;
    if (!space) return;
    gap = Math.min(24, Math.max(10, space * 0.02));
    columns = Math.max(LEAST_COLUMNS, Math.floor((space + gap) / (LEAST_WIDTH + gap)));
    width = (space - gap * (columns - 1)) / columns;
    list.style.setProperty("--card", `${width}px`);
    const probe = tallest();
    probe.style.visibility = "hidden";
    list.append(probe);
    height = Math.ceil(probe.getBoundingClientRect().height);
    probe.remove();
    list.style.setProperty("--row", `${height}px`);
    const rows = Math.ceil(works.length / columns);
    list.style.height = `${Math.max(0, rows * (height + gap) - gap)}px`;
  }

  function clear() {
    for (const item of made.values()) item.remove();
    made.clear();
  }

  function render() {
    coming = 0;
    if (!list.clientWidth || !height) return;
    const top = -list.getBoundingClientRect().top;
    const row = (y) => Math.floor(y / (height + gap));
    const first = Math.max(0, (row(top) - ROWS_BEYOND) * columns);
    const last = Math.min(works.length, (row(top + innerHeight) + 1 + ROWS_BEYOND) * columns) - 1;
    for (const [place, item] of made) {
      if ((place < first || place > last) && !item.contains(document.activeElement)) {
        item.remove();
        made.delete(place);
      }
    }
    // In the document as on the page, for those who hear it read.
    const begin = Math.min(...made.keys());
    const [before, after] = [document.createDocumentFragment(), document.createDocumentFragment()];
    for (let place = first; place <= last; place += 1) {
      if (!made.has(place)) (place < begin ? before : after).append(make(place));
    }
    list.prepend(before);
    list.append(after);
  }

  function make(place) {
    const item = card(works[place]);
    item.setAttribute("aria-setsize", works.length);
    item.setAttribute("aria-posinset", place + 1);
    const x = (place % columns) * (width + gap);
    const y = Math.floor(place / columns) * (height + gap);
    item.style.transform = `translate(${x}px, ${y}px)`;
    const button = item.querySelector("button");
    button.dataset.place = place;
    button.tabIndex = place === active ? 0 : -1;
    markChosen(item, place);
    made.set(place, item);
    return item;
  }

  function markChosen(item, place) {
    const button = item.querySelector("button");
    if (selection.picking() || selection.size()) button.setAttribute("aria-pressed", selection.has(works[place]));
    else button.removeAttribute("aria-pressed");
  }

  /** Makes a card the active one and scrolls as little as it takes to show it. */
  function activate(place, focus) {
    active = Math.max(0, Math.min(works.length - 1, place));
    const top = list.getBoundingClientRect().top + Math.floor(active / columns) * (height + gap);
    const below = top + height - (innerHeight - 8 - covered());
    if (top < 8) scrollBy(0, top - 8);
    else if (below > 0) scrollBy(0, below);
    render();
    for (const [at, item] of made) item.querySelector("button").tabIndex = at === active ? 0 : -1;
    if (focus) made.get(active)?.querySelector("button").focus({ preventScroll: true });
  }

  function relayout() {
    clear();
    measure();
    render();
  }

  const soon = () => { coming ||= requestAnimationFrame(render); };
  addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(() => {
    if (list.clientWidth && Math.abs(list.clientWidth - (columns * (width + gap) - gap)) > 0.5) relayout();
    else soon();
  }).observe(list);
  addEventListener("resize", soon);

  list.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    if (!button) return;
    active = Number(button.dataset.place);
    if (event.shiftKey) {
      selection.range(anchor, active);
      return;
    }
    anchor = active;
    if (event.ctrlKey || event.metaKey || selection.picking()) selection.toggle(works[active]);
    else open(active);
  });

  list.addEventListener("focusin", (event) => {
    const place = /** @type {HTMLElement} */ (event.target).closest("button")?.dataset.place;
    if (place !== undefined) active = Number(place);
  });

  list.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      event.preventDefault();
      selection.range(0, works.length - 1);
      return;
    }
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "x") selection.toggle(works[active]);
    if (event.key === "Escape") selection.clear();
    const page = Math.max(1, Math.floor(innerHeight / (height + gap))) * columns;
    const to = {
      ArrowLeft: active - 1,
      ArrowRight: active + 1,
      ArrowUp: active - columns,
      ArrowDown: active + columns,
      PageUp: active - page,
      PageDown: active + page,
      Home: 0,
      End: works.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const isRowStep = event.key === "ArrowUp" || event.key === "ArrowDown";
    if (isRowStep && (to < 0 || to >= works.length)) return;
    if (!event.shiftKey) anchor = Math.max(0, Math.min(works.length - 1, to));
    activate(to, true);
    if (event.shiftKey) selection.range(anchor, active);
  });

  return {
    /** Shows other works, from the first. */
    show(others) {
      works = others;
      active = anchor = 0;
      relayout();
    },
    /** Makes the cards in view again, of the same or of other works; where the reader is does not change. */
    refresh(others = works) {
      works = others;
      relayout();
    },
    /** @param {number} place */
    focus: (place) => activate(place, true),
    /** Marks anew which works are chosen. */
    mark() {
      for (const [place, item] of made) markChosen(item, place);
    },
  };
}
