// The map of the collection: a canvas of points, of thumbnails where few are in view.

/**
 * @param {object} options
 * @param {HTMLCanvasElement} options.canvas
 * @param {HTMLElement} options.tip
 * @param {Float32Array} options.x where each work lies, 0..1; NaN: nowhere.
 * @param {Float32Array} options.y likewise.
 * @param {string[]} options.colours CSS colours; the last is for what has no colour of its own.
 * @param {(work: number) => string | null} options.thumbnail gives a work's picture as an address, or null.
 * @param {(work: number | null) => void} options.describe fills the tip with a work, or empties it with null.
 * @param {(work: number) => void} options.open called with a work that was clicked.
 * @param {(corners: number[]) => void} options.choose called with the corners of an area, [x, y, …] in thousandths, that was drawn.
 */
function makeMap({ canvas, tip, x, y, colours, thumbnail, describe, open, choose }) {
  const MOST_THUMBNAILS = 240;
  const ROOM = 84; // pixels of the squares of which each has one thumbnail where more works are in view
  const SMALL = 40; // pixels of such a thumbnail
  const TILE = 96; // pixels of the small pictures that are kept
  const MOST_TILES = 1500;
  const CORNERS = 40; // of a drawn area: more would make its address long
  const LARGEST_ZOOM = 400;
  const REACH = 14; // pixels from the pointer to a work that it means
  const SLIP = 4; // pixels that a click may move

  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let place = new Uint32Array(); // the works that lie somewhere
  let shown = new Uint8Array(x.length).fill(1);
  let colourOf = new Uint8Array(x.length);
  /** @type {number[] | null} */
  let area = null;
  /** What stands on the map. @type {MapName[]} */
  let names = [];
  /** @type {number[] | null} */
  let drawing = null; // the line that is being drawn, in the canvas' pixels
  let selecting = false;
  let pointed = -1;
  let crosshair = false;
  let coming = 0;
  let stale = true; // the dots in `layer` are of another view
  /** The works in view, where they are few enough for pictures. @type {Uint32Array | null} */
  let pictured = null;
  /** Else the works that have one where there is room. @type {number[]} */
  let scattered = [];
  const layer = document.createElement("canvas");
  let [width, height, ratio] = [0, 0, 1];
  let view = { x: 0, y: 0, zoom: 1 };
  /** @type {Map<number, HTMLCanvasElement | null>} */
  const tiles = new Map(); // work -> its small picture, or null while it loads; least recently used first

  let [left, top, right, bottom] = [0, 0, 1, 1]; // where works lie
  const scale = () => 0.9 * view.zoom * Math.min(width / Math.max(0.1, right - left), height / Math.max(0.1, bottom - top));
  const toX = (value) => (value - view.x) * scale() + width / 2;
  const toY = (value) => (value - view.y) * scale() + height / 2;
  const fromX = (pixel) => (pixel - width / 2) / scale() + view.x;
  const fromY = (pixel) => (pixel - height / 2) / scale() + view.y;

  function resize() {
    [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    canvas.width = layer.width = Math.max(1, Math.round(width * ratio));
    canvas.height = layer.height = Math.max(1, Math.round(height * ratio));
    stale = true;
    draw();
  }

  const soon = () => { coming ||= requestAnimationFrame(draw); };

  function again() {
    stale = true;
    soon();
  }

  /** The pixels of a dot around its middle: [x, y, alpha]. */
  function dot(radius) {
    const pixels = [];
    const reach = Math.ceil(radius);
    for (let dy = -reach; dy <= reach; dy += 1) {
      for (let dx = -reach; dx <= reach; dx += 1) {
        const alpha = Math.round(255 * Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(dx, dy))));
        if (alpha) pixels.push([dx, dy, alpha]);
      }
    }
    return pixels;
  }

  /** Dots for works, pixel by pixel: ten times as fast as a canvas draws twenty thousand circles. */
  function drawDots(faint, lit, radius, palette) {
    const image = new ImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer); // alpha, blue, green, red from the highest byte
    const bgr = palette.map((colour) => {
      const [, red, green, blue] = /** @type {string[]} */ (colour.trim().match(/^#(..)(..)(..)$/));
      return parseInt(blue + green + red, 16);
    });
    const shape = dot(radius * ratio);
    const [factor, shiftX, shiftY] = [scale() * ratio, toX(0) * ratio, toY(0) * ratio];
    for (const [works, strength] of [[faint, 0.15], [lit, 1]]) {
      const strokes = shape.map(([dx, dy, alpha]) => [dx, dy, Math.round(alpha * strength)]);
      for (const work of works) {
        const atX = Math.round(x[work] * factor + shiftX);
        const atY = Math.round(y[work] * factor + shiftY);
        const colour = bgr[colourOf[work]];
        for (const [dx, dy, alpha] of strokes) {
          const [px, py] = [atX + dx, atY + dy];
          if (px < 0 || py < 0 || px >= image.width || py >= image.height) continue;
          const at = py * image.width + px;
          if (pixels[at] >>> 24 <= alpha) pixels[at] = ((alpha << 24) | colour) >>> 0;
        }
      }
    }
    /** @type {CanvasRenderingContext2D} */ (layer.getContext("2d")).putImageData(image, 0, 0);
  }

  function inView(margin) {
    const [l, r] = [fromX(-margin), fromX(width + margin)];
    const [t, b] = [fromY(-margin), fromY(height + margin)];
    return place.filter((work) => x[work] > l && x[work] < r && y[work] > t && y[work] < b);
  }

  function draw() {
    coming = 0;
    if (!width) return;
    canvas.dataset.drawn = `${canvas.width} ${canvas.height}`;
    const style = getComputedStyle(canvas);
    const palette = colours.map((name) => style.getPropertyValue(name));
    const radius = Math.min(5, Math.max(1.5, Math.sqrt(view.zoom) * Math.min(4, 90 / Math.sqrt(place.length))));
    if (stale) {
      const visible = inView(40);
      const lit = visible.filter((work) => shown[work]);
      pictured = lit.length <= MOST_THUMBNAILS ? lit : null;
      scattered = pictured ? [] : oneARoom(lit);
      drawDots(visible.filter((work) => !shown[work]), pictured ? [] : lit, radius, palette);
      stale = false;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(layer, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (pictured) drawPictures(pictured, palette);
    else drawScattered(palette);
    drawNames(style);
    context.strokeStyle = style.color;
    context.lineWidth = 1.5;
    const corners = drawing ?? (area && area.map((value, i) => (i % 2 ? toY(value / 1000) : toX(value / 1000))));
    if (corners) {
      context.beginPath();
      for (let i = 0; i < corners.length; i += 2) context.lineTo(corners[i], corners[i + 1]);
      if (!drawing) context.closePath();
      context.stroke();
    }
    if (pointed >= 0 && !pictured) {
      context.beginPath();
      context.arc(toX(x[pointed]), toY(y[pointed]), radius + 3, 0, 2 * Math.PI);
      context.stroke();
    }
    if (crosshair) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(width / 2 + 6 * dx, height / 2 + 6 * dy);
        context.lineTo(width / 2 + 14 * dx, height / 2 + 14 * dy);
      }
      context.stroke();
    }
  }

  function drawPictures(works, palette) {
    // As large as the space between them allows.
    const side = Math.max(28, Math.min(TILE, 0.5 * Math.sqrt((width * height) / Math.max(1, works.length))));
    const ordered = pointed >= 0 && shown[pointed] ? [...[...works].filter((work) => work !== pointed), pointed] : works;
    for (const work of ordered) {
      const size = work === pointed ? side * 1.3 : side;
      const tile = tileOf(work);
      const [w, h] = tile ? [(size * tile.width) / TILE, (size * tile.height) / TILE] : [size * 0.4, size * 0.4];
      const [left, top] = [toX(x[work]) - w / 2, toY(y[work]) - h / 2];
      context.fillStyle = palette[colourOf[work]];
      context.fillRect(left - 3, top - 3, w + 6, h + 6);
      if (tile) context.drawImage(tile, left, top, w, h);
    }
  }

  /** Of each square that has several works one; where only few are, their dots say as much. @param {Uint32Array} lit */
  function oneARoom(lit) {
    const side = ROOM / scale(); // squares of the map, not of the window: dragging changes none
    const found = new Map();
    for (const work of lit) {
      const key = Math.floor(x[work] / side) * 1e6 + Math.floor(y[work] / side);
      const near = (x[work] / side % 1 - 0.5) ** 2 + (y[work] / side % 1 - 0.5) ** 2;
      const known = found.get(key);
      if (!known || near < known.near) found.set(key, { work, near, number: (known?.number ?? 0) + 1 });
      else known.number += 1;
    }
    return [...found.values()].filter(({ number }) => number > 3).map(({ work }) => work);
  }

  function drawScattered(palette) {
    for (const work of scattered) {
      const tile = tileOf(work);
      if (!tile) continue;
      const [w, h] = [(SMALL * tile.width) / TILE, (SMALL * tile.height) / TILE];
      const [left, top] = [within(toX(x[work]) - w / 2, w, width), within(toY(y[work]) - h / 2, h, height)];
      context.fillStyle = palette[colourOf[work]];
      context.fillRect(left - 2, top - 2, w + 4, h + 4);
      context.drawImage(tile, left, top, w, h);
    }
  }

  /** Where something begins that is not to be cut off, if its middle is in view. */
  const within = (begin, size, room) => (begin + size / 2 < 0 || begin + size / 2 > room ? begin : Math.max(4, Math.min(room - size - 4, begin)));

  /** Names over what they name; the first where two have not room. @param {CSSStyleDeclaration} style */
  function drawNames(style) {
    const taken = /** @type {number[][]} */ ([]);
    context.font = `600 14px ${style.getPropertyValue("--sans")}`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 5;
    context.strokeStyle = style.getPropertyValue("--surface");
    context.fillStyle = style.color;
    for (const { text, x: atX, y: atY } of names) {
      const w = context.measureText(text).width;
      const [middleX, middleY] = [toX(atX), toY(atY)];
      if (middleX < 0 || middleX > width || middleY < 0 || middleY > height) continue;
      const [left, top] = [within(middleX - w / 2, w, width), within(middleY - 11, 22, height)];
      if (taken.some(([l, t, r, b]) => left < r && left + w > l && top < b && top + 22 > t)) continue;
      taken.push([left - 6, top - 2, left + w + 6, top + 24]);
      context.strokeText(text, left, top + 11);
      context.fillText(text, left, top + 11);
    }
  }

  /** A work's small picture once it is there; each is decoded once, and only its small form is kept. */
  function tileOf(work) {
    const known = tiles.get(work);
    if (known !== undefined) {
      tiles.delete(work);
      tiles.set(work, known);
      return known;
    }
    const address = thumbnail(work);
    tiles.set(work, null);
    if (tiles.size > MOST_TILES) tiles.delete(/** @type {number} */ (tiles.keys().next().value));
    if (!address) return null;
    const image = new Image();
    image.decoding = "async";
    image.src = address;
    image.decode().then(() => {
      const part = TILE / Math.max(image.naturalWidth, image.naturalHeight);
      const tile = document.createElement("canvas");
      tile.width = Math.max(1, Math.round(image.naturalWidth * part));
      tile.height = Math.max(1, Math.round(image.naturalHeight * part));
      /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d")).drawImage(image, 0, 0, tile.width, tile.height);
      tiles.set(work, tile);
      soon();
    }).catch(() => {}); // its square stays empty
    return null;
  }

  function nearest(pixelX, pixelY, reach) {
    let [found, least] = [-1, (reach / scale()) ** 2];
    const [atX, atY] = [fromX(pixelX), fromY(pixelY)];
    for (const work of place) {
      const distance = (x[work] - atX) ** 2 + (y[work] - atY) ** 2;
      if (shown[work] && distance <= least) [found, least] = [work, distance];
    }
    return found;
  }

  function point(work) {
    if (work === pointed) return;
    pointed = work;
    describe(work < 0 ? null : work);
    if (work >= 0) {
      const [left, top] = [toX(x[work]), toY(y[work])];
      tip.style.insetInlineStart = `${Math.max(4, Math.min(width - tip.offsetWidth - 4, left + 16))}px`;
      tip.style.top = `${Math.max(4, top + tip.offsetHeight + 20 > height ? top - tip.offsetHeight - 16 : top + 16)}px`;
    }
    soon();
  }

  function zoomBy(factor, pixelX = width / 2, pixelY = height / 2) {
    const [atX, atY] = [fromX(pixelX), fromY(pixelY)];
    view.zoom = Math.max(0.8, Math.min(LARGEST_ZOOM, view.zoom * factor));
    moveBy(fromX(pixelX) - atX, fromY(pixelY) - atY);
  }

  function moveBy(byX, byY) {
    view.x = Math.max(0, Math.min(1, view.x - byX));
    view.y = Math.max(0, Math.min(1, view.y - byY));
    again();
  }

  // -- Pointers: one moves, draws or clicks; two zoom ------------------------------------------------------------

  const pointers = new Map();
  let moved = 0;

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    moved = pointers.size > 1 ? Infinity : 0;
    drawing = (selecting || event.shiftKey) && pointers.size === 1 ? at(event) : null;
    crosshair = false;
  });

  canvas.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      point(nearest(...now, REACH));
      return;
    }
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (drawing) {
      drawing.push(...now);
      soon();
    } else if (pointers.size === 1) {
      if (moved > SLIP) moveBy((now[0] - before[0]) / scale(), (now[1] - before[1]) / scale());
    } else {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1] ?? now;
      const apart = (a) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
      zoomBy(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    pointers.set(event.pointerId, now);
  });

  function release(event) {
    if (!pointers.delete(event.pointerId)) return;
    const line = drawing;
    drawing = null;
    if (event.type === "pointercancel") return;
    if (line && moved > SLIP) choose(corners(line));
    else if (moved <= SLIP) {
      const work = nearest(...at(event), REACH);
      if (work >= 0) open(work);
    }
    soon();
  }
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { if (!pointers.size) point(-1); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoomBy(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) / 300), ...at(event));
  }, { passive: false });

  /** A line as the corners of an area, in thousandths of the map. */
  function corners(line) {
    const every = Math.ceil(line.length / 2 / CORNERS);
    const found = /** @type {number[]} */ ([]);
    for (let i = 0; i < line.length; i += 2 * every) found.push(Math.round(1000 * fromX(line[i])), Math.round(1000 * fromY(line[i + 1])));
    return found;
  }

  canvas.addEventListener("keydown", (event) => {
    const step = 0.12 * Math.min(width, height) / scale();
    const act = {
      ArrowLeft: () => moveBy(step, 0),
      ArrowRight: () => moveBy(-step, 0),
      ArrowUp: () => moveBy(0, step),
      ArrowDown: () => moveBy(0, -step),
      "+": () => zoomBy(1.5),
      "=": () => zoomBy(1.5),
      "-": () => zoomBy(1 / 1.5),
      0: fit,
      Enter: () => {
        const work = nearest(width / 2, height / 2, width);
        if (work >= 0) open(work);
      },
    }[event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    crosshair = true;
    act();
    point(nearest(width / 2, height / 2, width));
  });
  canvas.addEventListener("blur", () => {
    crosshair = false;
    point(-1);
    soon();
  });

  function fit() {
    view = { x: (left + right) / 2, y: (top + bottom) / 2, zoom: 1 };
    again();
  }

  /** @param {Float32Array} newX @param {Float32Array} newY @param {number} [room] for names above them */
  function lay(newX, newY, room = 0) {
    [x, y] = [newX, newY];
    place = Uint32Array.from(x.keys()).filter((work) => !Number.isNaN(x[work]));
    [left, top, right, bottom] = place.reduce(
      ([l, t, r, b], work) => [Math.min(l, x[work]), Math.min(t, y[work]), Math.max(r, x[work]), Math.max(b, y[work])],
      [1, 1, 0, 0],
    );
    top -= room;
    fit();
  }

  lay(x, y);
  new ResizeObserver(resize).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  return {
    /**
     * Colours the works by places in `colours`, and shows those that a mask says; the others are faint.
     *
     * @param {Uint8Array<ArrayBuffer>} newColours
     * @param {Uint8Array<ArrayBuffer>} mask
     * @param {number[] | null} newArea
     * @param {MapName[]} newNames what stands on the map, the most important first
     */
    show(newColours, mask, newArea, newNames) {
      [colourOf, shown, area, names] = [newColours, mask, newArea, newNames];
      again();
    },
    fit,
    /** Puts the works elsewhere. */
    lay,
    zoomBy,
    /** Whether dragging draws an area instead of moving the map. */
    select(on) {
      selecting = on;
      canvas.classList.toggle("selecting", on);
    },
    /** The corners of what is in view. */
    bounds: () => corners([0, 0, width, 0, width, height, 0, height]),
  };
}

/** Whether a point lies inside an area given by its corners [x, y, …]. @param {number[]} corners @param {number} atX @param {number} atY */
function isInside(corners, atX, atY) {
  let inside = false;
  for (let i = 0, j = corners.length - 2; i < corners.length; j = i, i += 2) {
    const [ax, ay, bx, by] = [corners[i], corners[i + 1], corners[j], corners[j + 1]];
    if (ay > atY !== by > atY && atX < ((bx - ax) * (atY - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}
