// A work's picture over the whole window: wheel, pinch or keys enlarge it, dragging moves it. It begins with the one that
// lies beside the page; where an image service has a larger one, that takes its place.

/** @returns {{open(address: string, alternative: string, service?: string | null): void, close(): void, isOpen(): boolean, key(key: string): boolean}} */
function makeZoom() {
  const LARGEST = 16;
  const CLOSER = 2.5; // from this scale on the larger of a service's pictures is asked for
  const room = byId("zoom");
  const image = byId("zoom-image");
  const source = byId("zoom-source");
  let [scale, x, y] = [1, 0, 0];
  let turns = 0; // how often another picture was opened
  let closer = () => {};
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
    if (scale >= CLOSER) closer();
  }

  function moveBy(byX, byY) {
    [x, y] = [x + byX, y + byY];
    place();
  }

  /** Asks a service for its picture; while it is awaited, and where none comes, the one that is there stays. @param {string} service */
  async function ask(service, at = 0) {
    const turn = turns;
    const [, , host] = service.split("/");
    if (!at) source.textContent = say("picture_awaited", { host });
    const larger = await firstPicture(picturesBy(service, SERVICE_SIZES[at]));
    if (turn !== turns) return;
    if (larger && (at === 0 || larger.naturalWidth > image.naturalWidth)) image.src = larger.src;
    if (!at) source.textContent = say(larger ? "picture_from" : "picture_not_from", { host });
    // A picture smaller than was asked for is all that there is.
    if (!larger || Math.max(larger.naturalWidth, larger.naturalHeight) < SERVICE_SIZES[at] || at + 1 === SERVICE_SIZES.length) return;
    closer = () => {
      closer = () => {};
      ask(service, at + 1);
    };
    if (scale >= CLOSER) closer();
  }

  const fromMiddle = (event) => [event.clientX - innerWidth / 2, event.clientY - innerHeight / 2];

  function close() {
    room.hidden = true;
    turns += 1;
    closer = () => {};
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
    open(address, alternative, service) {
      [scale, x, y] = [1, 0, 0];
      turns += 1;
      if (address) image.src = address;
      source.hidden = !service;
      if (service) ask(service);
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
