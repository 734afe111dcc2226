// Works chosen together: by Shift, by Ctrl or in the mode for fingers, or all that the filters show.

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Judging} options.judging
 * @param {() => number[]} options.shown the works that the filters show, in order.
 * @param {() => number[]} options.questions those that the page is about now.
 * @param {() => void} options.changed called when others are chosen.
 * @param {(text: string) => void} options.tell
 */
function makeSelection({ works, judging, shown, questions, changed, tell }) {
  /** @type {Set<number>} */
  const chosen = new Set();
  let picking = false; // a tap chooses instead of opening

  function show() {
    const bar = byId("bulk");
    bar.hidden = chosen.size === 0;
    byId("select-all").hidden = shown().length === 0;
    byId("select-all").textContent = say(chosen.size && chosen.size === shown().length ? "select_none" : "select_all", { n: shown().length });
    byId("select-mode").setAttribute("aria-pressed", picking);
    document.body.classList.toggle("picking", picking || chosen.size > 0);
    if (!chosen.size) return;
    byId("bulk-count").textContent = say("n_selected", { n: chosen.size });
    const menu = byId("bulk-label");
    const before = menu.value;
    menu.replaceChildren(...questions().map((question) => {
      const group = element("optgroup");
      group.label = works.questions[question].name;
      group.append(
        option(`${question} ${RIGHT}`, say("model_is_right")),
        ...works.choices()[question].map(({ label }) => option(`${question} ${label}`, label)),
        option(`${question} ${NONE}`, say("none_of_these")),
        option(`${question} ${UNCHECKED}`, say("not_checked")),
      );
      return group;
    }));
    menu.value = before;
    if (menu.selectedIndex < 0) menu.selectedIndex = 0;
  }

  function change() {
    show();
    changed();
  }

  function end() {
    picking = false;
    chosen.clear();
    change();
  }

  byId("bulk-give").addEventListener("click", () => {
    const [, question, choice] = byId("bulk-label").value.match(/^(\d+) ([^]*)$/) ?? [];
    if (choice === undefined) return;
    const label = works.questions[question].multilabel && choice[0] !== "\u0000" ? joined([choice]) : choice;
    tell(say("bulk_given", { n: judging.give([...chosen], Number(question), label), label: byId("bulk-label").selectedOptions[0].textContent }));
    end();
  });
  byId("bulk-clear").addEventListener("click", end);
  byId("select-all").addEventListener("click", () => {
    const all = chosen.size === shown().length;
    chosen.clear();
    if (!all) for (const work of shown()) chosen.add(work);
    change();
  });
  byId("select-mode").addEventListener("click", () => {
    picking = !picking;
    if (!picking) chosen.clear();
    change();
  });

  return {
    /** @param {number} work */
    has: (work) => chosen.has(work),
    size: () => chosen.size,
    picking: () => picking,
    /** @param {number} work */
    toggle(work) {
      if (!chosen.delete(work)) chosen.add(work);
      change();
    },
    /** Adds the works from one place of the grid to another. @param {number} from @param {number} to */
    range(from, to) {
      for (let place = Math.min(from, to); place <= Math.max(from, to); place += 1) chosen.add(shown()[place]);
      change();
    },
    clear() {
      if (!chosen.size) return;
      chosen.clear();
      change();
    },
    show,
  };
}
