// A work's picture over the whole window: wheel, pinch or keys enlarge it, dragging moves it.

/** @returns {{open(address: string, alternative: string): void, close(): void, isOpen(): boolean, key(key: string): boolean}} */
function makeZoom() {
  const LARGEST = 16;
  const room = byId("zoom");
  const image = byId("zoom-image");
  let [scale, x, y] = [1, 0, 0];
  const pointers = new Map();

  function place() {
    const reach = (size) => (size * (scale - 1)) / 2;
    x = Math.max(-reach(room.clientWidth), Math.min(reach(room.clientWidth), x));
    y = Math.max(-reach(room.clientHeight), Math.min(reach(room.clientHeight), y));
    image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }

  /** @param {number} factor @param {number} [atX] from the middle @param {number} [atY] */
  function zoomBy(factor, atX = 0, atY = 0) {
    const before = scale;
    scale = Math.max(1, Math.min(LARGEST, scale * factor));
    x = atX - ((atX - x) * scale) / before;
    y = atY - ((atY - y) * scale) / before;
    place();
  }

  function moveBy(byX, byY) {
    [x, y] = [x + byX, y + byY];
    place();
  }

  const fromMiddle = (event) => [event.clientX - innerWidth / 2, event.clientY - innerHeight / 2];

  function close() {
    room.hidden = true;
    image.removeAttribute("src");
    byId("enlarge").focus();
  }

  room.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoomBy(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) / 300), ...fromMiddle(event));
  }, { passive: false });
  room.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    room.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, fromMiddle(event));
  });
  room.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = fromMiddle(event);
    if (pointers.size === 1) moveBy(now[0] - before[0], now[1] - before[1]);
    else {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1] ?? now;
      const apart = (a) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
      zoomBy(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    pointers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) room.addEventListener(name, (event) => pointers.delete(event.pointerId));
  room.addEventListener("dblclick", (event) => (scale > 1 ? zoomBy(1 / LARGEST) : zoomBy(3, ...fromMiddle(event))));
  byId("zoom-in").addEventListener("click", () => zoomBy(1.5));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  byId("zoom-close").addEventListener("click", close);

  return {
    open(address, alternative) {
      [scale, x, y] = [1, 0, 0];
      image.src = address;
      image.alt = alternative;
      room.hidden = false;
      place();
      byId("zoom-close").focus();
    },
    close,
    isOpen: () => !room.hidden,
    /** Does what a key means here; whether it means something. */
    key(key) {
      const step = 80;
      const act = {
        "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: () => zoomBy(1 / LARGEST),
        ArrowLeft: () => moveBy(step, 0), ArrowRight: () => moveBy(-step, 0), ArrowUp: () => moveBy(0, step), ArrowDown: () => moveBy(0, -step),
        Escape: close, z: close,
      }[key];
      act?.();
      return act !== undefined;
    },
  };
}
