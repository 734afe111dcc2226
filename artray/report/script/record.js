// A work's record, and the objects that a detector saw in its picture.

/** @param {Collection} works @param {number} work @param {WorkDetails} details */
function recordRows(works, work, { record, brightness, uri, service }) {
  const { fields, tasks } = works;
  const asLabels = new Set(tasks.map(({ catalogue }) => catalogue)); // the catalogue's label stands with the model's
  const said = fields
    .map(({ name }, i) => [name, record[i], i])
    .filter(([name, value, i]) => value && name !== "title" && name !== "artist" && !asLabels.has(/** @type {number} */ (i)))
    .map(([name, value]) => [spaced(/** @type {string} */ (name)), value]);
  const nodes = [...said, [say("object_id"), works.data.id[work]]].map(([name, value]) => [element("dt", String(name)), foreign("dd", String(value))]);
  if (brightness !== null) nodes.push([element("dt", say("brightness")), element("dd", say("of_255", { n: Math.round(brightness) }))]);
  tasks.forEach(({ classes }, task) => {
    for (const { place } of works.saidOf(work, task)) {
      const own = classes[place]?.uri;
      if (own) nodes.push([foreign("dt", works.className(task, place)), linked("dd", own, own)]);
    }
  });
  const address = linked("dd", uri, addressOf(uri));
  address.append(" ", copyButton(uri));
  nodes.push([element("dt", say("picture")), address]);
  if (service) {
    const [larger] = picturesBy(service, 3000);
    nodes.push([element("dt", say("larger")), linked("dd", larger, larger)]);
  }
  return nodes.flat();
}

/**
 * A button that lays over the picture what in it spoke for the label, and takes it away.
 *
 * @param {Collection} works
 * @param {number} work
 * @param {WorkDetails} details
 * @param {number} question whose label is explained, if several have a map
 */
function showMap(works, work, { maps }, question) {
  const has = [...maps.keys()].filter((task) => maps[task]);
  const task = has.find((one) => works.questionOf(one) === question) ?? has[0];
  const toggle = byId("show-map");
  const image = byId("detail-picture").querySelector("img");
  if (image && toggle.getAttribute("aria-pressed") === "true") image.src = works.data.thumbnail[work];
  toggle.hidden = task === undefined;
  toggle.setAttribute("aria-pressed", "false");
  if (task === undefined) return;
  const label = works.className(task, /** @type {number} */ (works.data.labels[task].label[work]));
  toggle.hidden = !image;
  toggle.textContent = say("what_spoke", { label });
  toggle.onclick = () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(on));
    image.src = on ? maps[task] : works.data.thumbnail[work];
  };
}

/** @param {string} text */
function copyButton(text) {
  const copy = button(say("copy_address"), async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = say("copied");
    } catch {
      copy.textContent = say("not_copied");
    }
  }, "chip quiet");
  return copy;
}

/** Boxes over a picture: an SVG that fits its box as the picture does. @param {any} plate @param {WorkDetails["objects"]} objects */
function showObjects(plate, objects) {
  const image = plate.querySelector("img");
  byId("objects").hidden = objects.length === 0 || !image;
  if (byId("objects").hidden) return;
  const draw = () => {
    const least = Number(byId("objects-threshold").value) / 100;
    byId("objects-from").textContent = percent(least);
    plate.querySelector("svg")?.remove();
    if (!byId("objects-on").checked || !image.naturalWidth) return;
    const [w, h] = [image.naturalWidth, image.naturalHeight];
    const found = objects.filter(([, score]) => score >= least);
    const sheet = svg("svg", { viewBox: `0 0 ${w} ${h}`, class: "boxes", role: "img" });
    sheet.setAttribute("aria-label", found.map(([name, score]) => `${name} ${percent(score)}`).join(", ") || say("no_object"));
    for (const [name, score, top, left, bottom, right] of found.reverse()) { // the surest on top
      const box = svg("rect", { x: left * w, y: top * h, width: Math.max(0, right - left) * w, height: Math.max(0, bottom - top) * h });
      const text = svg("text", { x: left * w + 3, y: Math.max(top * h, 0) + w * 0.045, "font-size": w * 0.042 });
      text.textContent = `${name} ${percent(score)}`;
      sheet.append(box, text);
    }
    plate.append(sheet);
  };
  byId("objects-on").onchange = draw;
  byId("objects-threshold").oninput = draw;
  image.addEventListener("load", draw);
  draw();
}
