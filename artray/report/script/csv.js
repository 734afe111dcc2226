// CSV by RFC 4180, safe for spreadsheets (artray.catalogs.formulas), and several labels in one cell (targets.separate).

// A spreadsheet takes such a text for a formula; an apostrophe says that it is none.
const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/;
const NUMBER = /^[+-]?[0-9]+([.,][0-9]+)?$/;

/** The rows of a CSV as texts. @param {string} text @returns {string[][]} */
function parseCsv(text) {
  const rows = [[""]];
  let quoted = false;
  let closed = false; // just now: another quotation mark is one of the text
  for (const [token] of text.replace(/^\ufeff/, "").matchAll(/"|,|\r\n|\n|\r|[^",\r\n]+/g)) {
    const row = rows[rows.length - 1];
    if (token === '"') {
      if (closed) row[row.length - 1] += token;
      closed = quoted;
      quoted = !quoted;
      continue;
    }
    closed = false;
    if (quoted) row[row.length - 1] += token;
    else if (token === ",") row.push("");
    else if (/^[\r\n]/.test(token)) rows.push([""]);
    else row[row.length - 1] += token;
  }
  return rows.filter((row) => row.length > 1 || row[0]);
}

/** Rows as CSV. @param {(string | number)[][]} rows */
const asCsv = (rows) => rows.map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");

/** @param {string | number} value */
function csvCell(value) {
  const text = guarded(String(value));
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {string} text */
const guarded = (text) => (FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text);
/** @param {string} text */
const unguarded = (text) => (text.startsWith("'") && FORMULA.test(text) ? text.slice(1) : text);

/** Several labels in one cell: with semicolons, or as JSON where a label has one in it. @param {string[]} names */
const joined = (names) => (names.some((name) => name.includes(";") || name.startsWith("[") || name !== name.trim()) ? JSON.stringify(names) : names.join("; "));

/** The labels of such a cell. @param {string} cell @returns {string[]} */
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
