// Where works lie on the map: as they look alike (from the data), by date, by label; and what its groups are called.

/**
 * Groups of works as blocks of columns, side by side.
 *
 * @param {number} count how many works there are
 * @param {{text: string, works: number[]}[]} groups in their order; works of none lie nowhere
 * @returns {{x: Float32Array, y: Float32Array, names: MapName[], room: number}} `room`: what names need above the works
 */
function inBlocks(count, groups) {
  const GAP = 1; // columns between two blocks
  const SHAPE = 1.8; // width by height
  const all = groups.reduce((sum, { works }) => sum + works.length, 0);
  const height = Math.max(1, Math.ceil(Math.sqrt(all / SHAPE)));
  const [x, y] = [new Float32Array(count).fill(NaN), new Float32Array(count).fill(NaN)];
  let column = 0;
  const names = groups.map(({ text, works }) => {
    const begin = column;
    works.forEach((work, at) => { [x[work], y[work]] = [begin + Math.floor(at / height), at % height]; });
    column += Math.ceil(works.length / height) + GAP;
    return { text, x: (begin + column - GAP - 1) / 2, y: -1.5 };
  });
  const side = Math.max(column, height + 1);
  const scaled = (values, shift) => values.map((value) => (value + shift) / side);
  const down = (side - height) / 2;
  return { x: scaled(x, 0.5), y: scaled(y, down), room: 2 / side, names: names.map((name) => ({ ...name, x: (name.x + 0.5) / side, y: (name.y + down) / side })) };
}

/**
 * Works by date, in spans of years of which there are not too many.
 *
 * @param {(number | null)[]} years of each work
 * @returns {{text: string, works: number[]}[]}
 */
function bySpan(years) {
  const MOST = 12;
  const dated = [...years.keys()].filter((work) => years[work] !== null).sort((a, b) => Number(years[a]) - Number(years[b]) || a - b);
  if (!dated.length) return [];
  const [first, last] = [Number(years[dated[0]]), Number(years[dated[dated.length - 1]])];
  const span = [1, 5, 10, 25, 50, 100, 250, 500, 1000].find((one) => Math.floor(last / one) - Math.floor(first / one) < MOST) ?? 5000;
  /** @type {Map<number, number[]>} */
  const spans = new Map();
  for (const work of dated) {
    const begin = Math.floor(Number(years[work]) / span) * span;
    const known = spans.get(begin);
    if (known) known.push(work);
    else spans.set(begin, [work]);
  }
  const year = (value) => String(value).replace("-", "−");
  return [...spans].map(([begin, works]) => ({ text: span === 1 ? year(begin) : `${year(begin)}–${year(begin + span - 1)}`, works }));
}

/** The year that a date says first, negative before Christ; null: none. @param {string} date */
function yearOf(date) {
  const found = /(?<!\d)\d{3,4}(?!\d)/.exec(date);
  if (!found) return null;
  const before = /^[-−]$/.test(date.slice(0, found.index).trim())
    || /^(?:\W{1,3}\d+)?\s*(?:B\.? ?C(?:\.? ?E)?\b|v\. ?(?:Chr|u)\b|av(?:\.|ant) ?J|a\. ?C\.)/i.test(date.slice(found.index + found[0].length));
  return before ? -Number(found[0]) : Number(found[0]);
}

/**
 * Where a map's groups lie that share a label: squares in which it is the commonest, as far as they touch.
 *
 * @param {Float32Array} x where each work lies, 0..1; NaN: nowhere
 * @param {Float32Array} y likewise
 * @param {(work: number) => number | null | undefined} labelOf
 * @param {(label: number) => string} textOf
 * @param {number} [least] the share of all works that a group has at least
 * @returns {MapName[]} the largest first
 */
function groupNames(x, y, labelOf, textOf, least = 0.02) {
  const SQUARES = 14;
  const at = (value) => Math.min(SQUARES - 1, Math.floor(value * SQUARES));
  /** @type {Map<number, number[]>[]} */
  const squares = Array.from({ length: SQUARES * SQUARES }, () => new Map());
  let all = 0;
  for (let work = 0; work < x.length; work += 1) {
    const label = labelOf(work);
    if (Number.isNaN(x[work]) || label === null || label === undefined) continue;
    all += 1;
    const square = squares[at(y[work]) * SQUARES + at(x[work])];
    const sum = square.get(label) ?? [0, 0, 0];
    square.set(label, [sum[0] + 1, sum[1] + x[work], sum[2] + y[work]]);
  }
  const commonest = squares.map((square) => [...square].sort(([, a], [, b]) => b[0] - a[0])[0]);
  const seen = new Uint8Array(squares.length);
  const found = /** @type {(MapName & {number: number})[]} */ ([]);
  commonest.forEach((first, start) => {
    if (!first || seen[start]) return;
    const waiting = [start];
    seen[start] = 1;
    let [number, sumX, sumY] = [0, 0, 0];
    while (waiting.length) {
      const square = /** @type {number} */ (waiting.pop());
      const [, [own, ownX, ownY]] = commonest[square];
      [number, sumX, sumY] = [number + own, sumX + ownX, sumY + ownY];
      const [row, place] = [Math.floor(square / SQUARES), square % SQUARES];
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        const next = (row + dy) * SQUARES + place + dx;
        if (place + dx < 0 || place + dx >= SQUARES || row + dy < 0 || row + dy >= SQUARES || seen[next]) continue;
        if (commonest[next]?.[0] !== first[0]) continue;
        seen[next] = 1;
        waiting.push(next);
      }
    }
    if (number >= Math.max(3, least * all)) found.push({ text: textOf(first[0]), x: sumX / number, y: sumY / number, number });
  });
  return found.sort((a, b) => b.number - a.number);
}
