// What the curator says: kept in this browser, written as CSV, read back from it.
"use strict";

/**
 * The corrections of one run of labels.
 *
 * @param run names the run: corrections of other labels are other corrections.
 * @param changed called when another window of the same page changed them.
 */
globalThis.artrayCorrections = ({ run, changed }) => {
  const PREFIX = "artray corrections ";
  const KEY = PREFIX + run;
  const HEADER = ["object_id", "task", "label", "predicted", "score", "corrected_at"];
  let labels = new Map(); // JSON of [object_id, task] -> {label, at}; an empty label: none of the classes
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
    } catch {
      kept = false;
    }
  }

  /** What was said on this page, at this place, about the labels of an earlier run: its key and how many; or null. */
  function earlier() {
    let newest = null;
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(PREFIX) || key === KEY) continue;
        const { page, at, labels: others } = JSON.parse(localStorage.getItem(key));
        if (page === location.pathname && others.length && !(newest?.at > at)) newest = { key, at, count: others.length };
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

  /** RFC 4180, as rows of texts. */
  function parse(text) {
    const rows = [[""]];
    let quoted = false;
    for (const [token] of text.replace(/^\ufeff/, "").matchAll(/""|"|,|\r\n|\n|\r|[^",\r\n]+/g)) {
      const row = rows.at(-1);
      if (quoted) {
        if (token === '"') quoted = false;
        else row[row.length - 1] += token === '""' ? '"' : token;
      } else if (token === ",") row.push("");
      else if (/^[\r\n]/.test(token)) rows.push([""]);
      else if (token === '"') quoted = true;
      else if (token !== '""') row[row.length - 1] += token;
    }
    return rows.filter((row) => row.length > 1 || row[0]);
  }

  // A spreadsheet takes such a text for a formula; an apostrophe says that it is none (artray.catalogs.formulas).
  const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/;
  const NUMBER = /^[+-]?[0-9]+([.,][0-9]+)?$/;
  const guarded = (text) => (FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text);
  /** Several labels in one cell, as training reads them: with semicolons, or as JSON where a label has one in it. */
  const joined = (names) => (names.some((name) => name.includes(";") || name.startsWith("[") || name !== name.trim()) ? JSON.stringify(names) : names.join("; "));
  function parted(cell) {
    if (cell.startsWith("[")) {
      try {
        const names = JSON.parse(cell);
        if (Array.isArray(names)) return names.map(String);
      } catch {
        // a label that begins so
      }
    }
    return cell.split(";").map((name) => name.trim()).filter(Boolean);
  }
  const unguarded = (text) => (text.startsWith("'") && FORMULA.test(text) ? text.slice(1) : text);

  function cell(value) {
    const text = guarded(String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    restore();
    changed();
  });
  restore();

  return {
    earlier,
    /** Whether they outlive the window. */
    kept: () => kept,
    count: () => labels.size,
    get: (id, task) => labels.get(keyOf(id, task)),
    /** Sets a label; null takes the correction back. */
    set(id, task, label) {
      if (label === null) labels.delete(keyOf(id, task));
      else labels.set(keyOf(id, task), { label, at: new Date().toISOString() });
      keep();
    },
    joined,
    parted,
    adopt: (key) => merge(read(key)),
    /** Rows of the columns in `HEADER` as CSV. */
    csv: (rows) => [HEADER, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join(""),
    /**
     * Takes over corrections from a CSV of ours, or one with at least object_id, task and label; the newer ones count.
     *
     * @param isKnown tells of an object_id and a task whether they are on this page.
     * @returns how many were taken and how many left out; null: the file is none of ours.
     */
    load(text, isKnown) {
      const [header = [], ...rows] = parse(text);
      const at = Object.fromEntries(HEADER.map((name) => [name, header.indexOf(name)]));
      if (at.object_id < 0 || at.task < 0 || at.label < 0) return null;
      const found = rows.map((row) => ({
        id: unguarded(row[at.object_id] ?? ""),
        task: unguarded(row[at.task] ?? ""),
        label: unguarded(row[at.label] ?? ""),
        at: row[at.corrected_at] ?? "",
      }));
      const known = found.filter(({ id, task }) => isKnown(id, task));
      merge(known.map(({ id, task, label, at: time }) => [keyOf(id, task), { label, at: time }]));
      return { taken: known.length, left: found.length - known.length };
    },
  };
};
