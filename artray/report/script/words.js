// The page's own words, in the language that it was written for, and numbers as that language has them.

/** @type {Record<string, string | Record<string, string>>} */
const WORDS = globalThis.artrayWords?.words ?? {};
/** @type {string} */
const LANGUAGE = globalThis.artrayWords?.language ?? "en";
const plurals = new Intl.PluralRules(LANGUAGE);
const collator = new Intl.Collator(LANGUAGE, { numeric: true });

/** @param {number} value */
const grouped = (value) => value.toLocaleString(LANGUAGE);

/**
 * The page's words for something, with values in their places: say("works", {n: 3}) is "3 works".
 *
 * @param {string} key
 * @param {Record<string, string | number>} [values] `n` decides between one and many.
 * @returns {string}
 */
function say(key, values = {}) {
  const found = WORDS[key];
  if (found === undefined) return key;
  const text = typeof found === "string" ? found : found[plurals.select(Number(values.n))] ?? found.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? grouped(value) : value ?? "";
  });
}

/** Whether the page has words for it. @param {string} key */
const isSayable = (key) => key in WORDS;

/**
 * A share as a reader says it: 0.873 is "87 %", 0.9996 is not yet "100 %".
 *
 * @param {number | null | undefined} share
 * @param {number} [decimals]
 */
function percent(share, decimals = 0) {
  if (share === null || share === undefined) return "–";
  const smallest = 10 ** -decimals;
  const shown = (100 * share).toFixed(decimals);
  if (share > 0 && Number(shown) === 0) return `<\u00a0${smallest}\u00a0%`;
  if (share < 1 && Number(shown) === 100) return `>\u00a0${100 - smallest}\u00a0%`;
  return `${shown}\u00a0%`;
}

/** A column's or task's name as a reader has it. @param {string} name */
const spaced = (name) => name.replaceAll("_", " ");

/** What makes "Gérôme" found by "gerome". @param {string} text */
const folded = (text) => (/^[\x20-\x7e]*$/.test(text) ? text : text.normalize("NFD").replace(/\p{M}/gu, "")).toLowerCase();

/** @param {string} status */
const reasonOf = (status) => (isSayable(`reason.${status}`) ? say(`reason.${status}`) : status);
