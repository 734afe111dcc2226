// Words by which works are found: each has a vector, and the works that lie nearest to it come first (see terms.py).

const MOST_FOUND = 500; // works that a word shows

/** Signed bytes out of base64. @param {string} text */
function bytesOf(text) {
  const raw = atob(text);
  const bytes = new Int8Array(raw.length);
  for (let at = 0; at < raw.length; at += 1) bytes[at] = raw.charCodeAt(at);
  return bytes;
}

/**
 * The cosine of one vector with each of several.
 *
 * @param {Int8Array} one
 * @param {Int8Array} several side by side
 */
function cosines(one, several) {
  const width = one.length;
  const found = new Float32Array(several.length / width);
  let own = 0;
  for (let at = 0; at < width; at += 1) own += one[at] * one[at];
  for (let row = 0; row < found.length; row += 1) {
    let product = 0;
    let length = 0;
    for (let at = 0, place = row * width; at < width; at += 1, place += 1) {
      product += one[at] * several[place];
      length += several[place] * several[place];
    }
    found[row] = own && length ? product / Math.sqrt(own * length) : 0;
  }
  return found;
}

/**
 * The words, from when they are loaded.
 *
 * @param {PageData} data
 */
function makeTerms(data) {
  /** @type {{term: string, works: number[]} | null} */
  let last = null;
  /** @type {Promise<void> | null} */
  let loading = null;

  const unpacked = once(() => {
    const { artrayTerms } = globalThis;
    if (!artrayTerms) throw new Error("terms.js is not loaded");
    const { width, terms, vectors, works, places } = artrayTerms;
    return { width, vectors: bytesOf(vectors), works: bytesOf(works), places, rows: new Map(terms.map((term, row) => [folded(term), row])) };
  });

  return {
    exist: () => data.terms > 0,
    areLoaded: () => globalThis.artrayTerms !== undefined,
    names: () => globalThis.artrayTerms?.terms ?? [],
    /** Loads them; a page opened from a disk may not fetch, so they are a script. */
    load() {
      loading ??= new Promise((done) => {
        const script = element("script");
        script.src = "data/terms.js";
        script.onload = () => done();
        script.onerror = () => done();
        document.head.append(script);
      });
      return loading;
    },
    /**
     * The works most like a word, nearest first; null where there is no such word, or none is loaded.
     *
     * @param {string} term
     * @returns {number[] | null}
     */
    nearest(term) {
      if (globalThis.artrayTerms === undefined) return null;
      const { width, vectors, works, places, rows } = unpacked();
      const row = rows.get(folded(term.trim()));
      if (row === undefined) return null;
      if (last?.term !== term) {
        const like = cosines(vectors.subarray(row * width, (row + 1) * width), works);
        const order = places.map((_, at) => at).sort((a, b) => like[b] - like[a]);
        last = { term, works: order.slice(0, MOST_FOUND).map((at) => places[at]) };
      }
      return last.works;
    },
  };
}
