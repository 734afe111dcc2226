// What goes onto paper: a contact sheet of the works shown, one work's sheet, or an evaluation whole.

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {ReturnType<typeof makeCards>} options.cards
 * @param {() => number[]} options.shown
 * @param {() => boolean} options.isWorkOpen
 * @param {() => string} options.view
 */
function makePrint({ works, cards, shown, isWorkOpen, view }) {
  const MOST = 600; // works on one contact sheet
  const sheet = byId("contact-sheet");
  /** Details that were closed before the print. @type {HTMLDetailsElement[]} */
  let opened = [];

  function prepare() {
    document.body.classList.toggle("print-work", isWorkOpen());
    // The browser says beforeprint after a button did this already: what was opened then is to be closed too.
    opened.push(...[...document.querySelectorAll("details")].filter((one) => !one.open && one.id !== "side"));
    for (const one of opened) one.open = true;
    if (isWorkOpen() || view() === "trust" || view() === "about") return;
    const list = shown().slice(0, MOST);
    byId("contact-title").textContent = `${byId("title").textContent}: ${byId("count").textContent}`;
    byId("contact-rest").textContent = shown().length > MOST ? say("contact_rest", { n: MOST, of: shown().length }) : "";
    sheet.querySelector("ol").replaceChildren(...list.map((work) => {
      const item = cards.card(work);
      item.querySelector(".caption").append(foreign("span", works.data.id[work], "id"));
      for (const image of item.querySelectorAll("img")) image.loading = "eager";
      return item;
    }));
    sheet.hidden = false;
  }

  function restore() {
    sheet.hidden = true;
    sheet.querySelector("ol").replaceChildren();
    document.body.classList.remove("print-work");
    for (const one of opened) one.open = false;
    opened = [];
  }

  addEventListener("beforeprint", () => { if (sheet.hidden) prepare(); });
  addEventListener("afterprint", restore);

  for (const id of ["print-works", "print-work", "print-trust"]) {
    byId(id).addEventListener("click", async () => {
      prepare();
      // Pictures that are not there yet would be blank on paper.
      await Promise.all([...document.querySelectorAll("#contact-sheet img, #detail img[src]")].map((image) => /** @type {HTMLImageElement} */ (image).decode().catch(() => {})));
      globalThis.print();
    });
  }
}
