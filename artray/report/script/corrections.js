// What the curator said: kept in this browser, written as CSV, read back from it.

const CORRECTIONS_PREFIX = "artray corrections ";
const REVIEWER_KEY = "artray reviewer";
const CORRECTIONS_HEADER = ["object_id", "task", "label", "predicted", "score", "corrected_at", "reviewer", "reviewed_at", "decision", "model_id", "run_id"];

/**
 * The corrections of one run of labels.
 *
 * @param {object} options
 * @param {string} options.run names the run: corrections of other labels are other corrections.
 * @param {[string, string, Correction][]} options.said object_id, task and what curators have said before; the newer counts.
 * @param {() => void} options.changed called when another window of the same page changed them.
 */
function makeCorrections({ run, said, changed }) {
  const KEY = CORRECTIONS_PREFIX + run;
  /** JSON of [object_id, task] -> what was said; an empty label: none of the classes. @type {Map<string, Correction>} */
  let labels = new Map();
  let kept = true;

  const keyOf = (id, task) => JSON.stringify([id, task]);

  function read(key) {
    const stored = JSON.parse(localStorage.getItem(key) ?? "null");
    return new Map(stored?.labels ?? []);
  }

  function restore() {
    try {
      labels = read(KEY);
    } catch {
      kept = false;
    }
  }

  function keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify({ page: location.pathname, at: Date.now(), labels: [...labels] }));
      kept = true;
    } catch {
      kept = false;
    }
  }

  /** What was said on this page, at this place, about the labels of an earlier run: its key and how many; or null. */
  function earlier() {
    let newest = null;
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(CORRECTIONS_PREFIX) || key === KEY) continue;
        const { page, at, labels: others } = JSON.parse(localStorage.getItem(key) ?? "null");
        if (page === location.pathname && others.length && !(newest && newest.at > at)) newest = { key, at, count: others.length };
      }
    } catch {
      return null; // no storage, or something in it that is not ours
    }
    return newest;
  }

  function merge(others) {
    for (const [key, correction] of others) {
      const known = labels.get(key);
      if (!known || known.at < correction.at) labels.set(key, correction);
    }
    keep();
  }

  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    restore();
    changed();
  });
  restore();
  if (said.length) merge(said.map(([id, task, correction]) => [keyOf(id, task), correction]));

  return {
    earlier,
    /** Whether they outlive the window. */
    kept: () => kept,
    count: () => labels.size,
    /** @returns {[string, string, Correction][]} object_id, task and what was said. */
    entries: () => [...labels].map(([key, correction]) => {
      const [id, task] = JSON.parse(key);
      return [id, task, correction];
    }),
    /** @param {string} id @param {string} task */
    get: (id, task) => labels.get(keyOf(id, task)),
    /**
     * Sets some at once; null takes a correction back.
     *
     * @param {[string, string, Correction | null][]} changes
     * @returns {[string, string, Correction | null][]} what undoes them
     */
    set(changes) {
      /** @type {[string, string, Correction | null][]} */
      const before = changes.map(([id, task]) => [id, task, labels.get(keyOf(id, task)) ?? null]);
      for (const [id, task, correction] of changes) {
        if (correction === null) labels.delete(keyOf(id, task));
        else labels.set(keyOf(id, task), correction);
      }
      keep();
      return before.reverse();
    },
    adopt: (key) => merge(read(key)),
    /**
     * Takes over corrections from a CSV of ours, or one with at least object_id, task and label; the newer ones count.
     *
     * @param {string} text
     * @param {(id: string, task: string) => boolean} isKnown whether they are on this page.
     * @returns {{taken: number, left: number} | null} how many were taken and left out; null: the file is none of ours.
     */
    load(text, isKnown) {
      const [header = [], ...rows] = parseCsv(text);
      const at = Object.fromEntries(CORRECTIONS_HEADER.map((name) => [name, header.indexOf(name)]));
      if (at.object_id < 0 || at.task < 0 || at.label < 0) return null;
      const found = rows.map((row) => {
        const of = (name) => unguarded(row[at[name]] ?? "");
        return { id: of("object_id"), task: of("task"), correction: { label: of("label"), at: of("corrected_at") || of("reviewed_at"), by: of("reviewer") } };
      });
      const known = found.filter(({ id, task }) => isKnown(id, task));
      merge(known.map(({ id, task, correction }) => [keyOf(id, task), correction]));
      return { taken: known.length, left: found.length - known.length };
    },
  };
}

/** Who reviews: a name typed once. */
const reviewer = {
  /** @returns {string} */
  get name() {
    try {
      return localStorage.getItem(REVIEWER_KEY) ?? "";
    } catch {
      return "";
    }
  },
  set name(text) {
    try {
      localStorage.setItem(REVIEWER_KEY, text.trim());
    } catch {
      // no storage: asked again next time
    }
  },
};
