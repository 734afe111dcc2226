// Pieces of the document. Every text goes through textContent or an option's value: nothing builds markup from text.

/** An element that the page surely has, of whatever kind its id says. @param {string} id @returns {any} */
const byId = (id) => document.getElementById(id);

/** What a template holds, anew. @param {string} template @returns {any} */
const copyOf = (template) => byId(template).content.firstElementChild.cloneNode(true);

/**
 * @param {string} name
 * @param {string} [text]
 * @param {string} [className]
 * @returns {any}
 */
function element(name, text, className) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

/** An element whose text is a stranger's, and runs in its own direction. @param {string} name @param {string} text @param {string} [className] */
function foreign(name, text, className) {
  const node = element(name, text, className);
  node.dir = "auto";
  return node;
}

/** @param {string | number} value @param {string} [text] */
function option(value, text) {
  const node = element("option", text);
  node.value = value;
  return node;
}

/** @param {string | undefined} text @param {(event: MouseEvent) => void} act @param {string} [className] */
function button(text, act, className) {
  const node = element("button", text, className);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function svg(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

/**
 * What takes long is worked out when it is first needed.
 *
 * @template T
 * @param {() => T} make
 * @returns {() => T}
 */
function once(make) {
  /** @type {T | undefined} */
  let made;
  return () => (made ??= make());
}

/**
 * What takes long is worked out once for each list that it is asked for.
 *
 * @template T
 * @param {(of: number[]) => T} make
 * @returns {(of: number[]) => T}
 */
function remembered(make) {
  /** @type {Map<string, T>} */
  const made = new Map();
  return (of) => {
    const key = of.join();
    if (!made.has(key)) made.set(key, make(of));
    return /** @type {T} */ (made.get(key));
  };
}

/**
 * A link where a browser can follow it, else the text alone (s3://bucket/key, javascript:…).
 *
 * @param {string} name of the element around it
 * @param {string} text
 * @param {string} address
 */
function linked(name, text, address) {
  const cell = foreign(name, "");
  if (!/^(https?|file):\/\//i.test(address)) {
    cell.textContent = text;
    return cell;
  }
  const link = element("a", text);
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  cell.append(link);
  return cell;
}

/** A path of this machine as an address. @param {string} uri */
const addressOf = (uri) => (uri.startsWith("/") ? `file://${uri.split("/").map(encodeURIComponent).join("/")}` : uri);
