// The blocks of a work's view, one a question: what each model says, what the catalogue says, and the curator's answer.

/**
 * @param {object} options
 * @param {Collection} options.works
 * @param {Judging} options.judging
 * @param {(work: number) => void} options.visit shows another work, from which Back leads here again.
 * @param {(question: number, choice: string, how?: {stay?: boolean}) => void} options.answer
 */
function makeAnswers({ works, judging, answer, visit }) {
  const { data, tasks } = works;
  /** What shows each block's answer anew. @type {(() => void)[]} */
  let shows = [];

  /** @param {number} work @param {number} question @param {WorkDetails} details */
  function block(work, question, details) {
    const node = copyOf("task");
    const own = judging.answering(work, question);
    const { name, multilabel } = works.questions[question];
    const [first] = own;
    node.dataset.question = question;
    node.querySelector("h3").textContent = name;
    node.querySelector(".versus").replaceChildren(...versus(work, own));
    node.querySelector(".versus").hidden = !node.querySelector(".versus").children.length;
    const learned = own.some((task) => works.isLearned(work, task));
    node.querySelector(".seen").hidden = !learned;
    node.querySelector(".seen").textContent = say("learned_from_this");
    if (own.length > 1) node.querySelector(".scores").append(...own.map((task) => modelRow(work, task)));
    node.querySelector(".scores").append(...rows(work, question, first, details.scores[first] ?? []));
    const rest = tasks[first].classes.length - (details.scores[first] ?? []).length / 2;
    const hint = node.querySelector(".scores + .hint");
    hint.hidden = !details.scores[first]?.length || rest === 0;
    hint.textContent = say("others_with_nothing", { n: rest });
    const show = (multilabel ? judgeSeveral : judgeOne)(node, work, question, first);
    shows.push(show);
    show();
    return node;
  }
  /** What the catalogue says beside what the models say. */
  function versus(work, own) {
    const told = [...new Set(own.flatMap((task) => works.catalogueOf(work, task)))];
    const nodes = [];
    if (told.length) {
      const agreed = own.map((task) => works.isAsCatalogued(work, task));
      const line = element("span", `${say("catalogue")}: `);
      line.append(foreign("strong", told.join(", ")));
      nodes.push(line);
      // That a model agrees which learned this label says nothing beside one that didn't, and doubts it.
      const isDoubted = own.some((task) => works.isLearned(work, task) && works.evidenceFor(work, task)?.said);
      if (!agreed.every(Boolean)) nodes.push(element("span", say("not_as_catalogued"), "differs"));
      else if (!isDoubted) nodes.push(element("span", say("as_catalogued"), "agrees"));
    }
    for (const task of own) {
      const { said, score, twin } = works.evidenceFor(work, task) ?? {};
      if (said) nodes.push(foreign("span", say("unseen_says", { label: said, score: percent(score) }), "evidence"));
      if (twin !== undefined) {
        const label = works.catalogueOf(twin, task).join(", ");
        nodes.push(button(say("looks_the_same", { title: works.titleOf(twin).slice(0, 100), label }), () => visit(twin), "chip evidence"));
      }
    }
    if (own.length > 1) {
      const said = new Set(own.map((task) => judging.predicted(work, task)));
      nodes.push(element("span", say(said.size > 1 ? "models_disagree" : "models_agree", { n: own.length }), said.size > 1 ? "differs" : "agrees"));
    }
    return nodes;
  }

  /** What one of several models says. */
  function modelRow(work, task) {
    const said = works.saidOf(work, task).map(({ place }) => works.className(task, place)).join(", ") || say("no_label");
    const bar = scoreBar(spaced(tasks[task].name), said, works.scoreOf(work, task), works.isUncertain(work, task));
    bar.classList.add("model-row");
    return bar;
  }

  /** The labels with their scores; a click or a key gives one. */
  function rows(work, question, task, ranked) {
    const keys = new Map(works.choices()[question].map(({ label, key }) => [label, key]));
    const told = works.catalogueOf(work, task);
    const { multilabel } = tasks[task];
    const places = ranked.filter((_, i) => i % 2 === 0);
    const said = places.filter((place) => works.hasLabel(work, task, place));
    // Where classes count alike, the label that is said may not have the highest score.
    const isMarked = multilabel || said[0] !== places[0];
    const found = [];
    for (const [i, place] of places.entries()) {
      const label = works.className(task, place);
      const isSaid = said.includes(place);
      const bar = scoreBar("", label, ranked[2 * i + 1], works.isUncertain(work, task) && (isSaid || (i === 0 && !said.length)));
      if (isSaid && isMarked) bar.querySelector(".name").append(element("span", ` ✓ ${say("label")}`, "said"));
      if (told.includes(label)) bar.querySelector(".name").append(element("span", ` ${say("catalogue")}`, "tagged"));
      const row = button(undefined, () => answer(question, label), "choice");
      row.dataset.label = label;
      row.append(element("kbd", keys.get(label) ?? ""), bar);
      found.push(row);
    }
    if (!ranked.length) found.push(scoreBar("", judging.told(task, judging.predicted(work, task)), works.scoreOf(work, task)));
    return found;
  }

  /** The curator's answer where a work has one label: right, another one, or none of these. */
  function judgeOne(node, work, question, task) {
    const { classes } = tasks[task];
    const label = data.labels[task].label[work];
    const select = node.querySelector("select");
    const right = node.querySelector(".right");
    right.hidden = label === null;
    select.append(option("", say("not_checked")));
    classes.forEach((_, place) => {
      const text = works.className(task, place);
      select.append(option(text, place === label ? say("label_as_said", { label: text }) : text));
    });
    select.append(option(NONE, say("none_of_these")));
    select.addEventListener("change", () => answer(question, select.value === "" ? UNCHECKED : select.value, { stay: true }));
    right.addEventListener("click", () => {
      const taken = right.getAttribute("aria-pressed") === "true";
      answer(question, taken ? UNCHECKED : RIGHT, { stay: taken });
    });
    return () => {
      const correction = judging.correctionOf(work, task);
      // A correction from before the last training may name a class that the model no longer has.
      if (correction?.label && ![...select.options].some(({ value }) => value === correction.label)) select.append(option(correction.label, correction.label));
      select.value = correction ? correction.label || NONE : "";
      right.setAttribute("aria-pressed", Boolean(correction) && label !== null && select.value === works.className(task, label));
      markGiven(node, correction ? [correction.label] : []);
    };
  }

  /** The curator's answer where a work may have several: right, or a list to which labels are added and from which they are taken. */
  function judgeSeveral(node, work, question, task) {
    const select = node.querySelector("select");
    const right = node.querySelector(".right");
    const list = element("ul", undefined, "chips");
    list.setAttribute("aria-label", say("your_labels"));
    node.querySelector(".verdict").before(list);
    const own = judging.predicted(work, task);
    select.addEventListener("change", () => { if (select.value) answer(question, select.value, { stay: true }); });
    right.addEventListener("click", () => {
      const taken = right.getAttribute("aria-pressed") === "true";
      answer(question, taken ? UNCHECKED : RIGHT, { stay: true });
    });
    return () => {
      const correction = judging.correctionOf(work, task);
      const chosen = correction ? judging.namesIn(task, correction.label) : [];
      list.hidden = !correction;
      list.replaceChildren(...chosen.map((name) => {
        const item = element("li");
        const remove = button(undefined, () => {
          answer(question, name, { stay: true });
          select.focus();
        }, "chip");
        remove.dir = "auto";
        remove.append(name, " ", element("span", "×"), element("span", `, ${say("remove")}`, "unseen"));
        item.append(remove);
        return item;
      }));
      if (correction && !chosen.length) list.append(element("li", say("none_of_these")));
      right.setAttribute("aria-pressed", Boolean(correction) && judging.agrees(work, task, correction?.label ?? ""));
      select.replaceChildren(option("", say(correction ? "add_a_label" : "not_checked")));
      const said = judging.namesIn(task, own);
      for (const [place] of tasks[task].classes.entries()) {
        const name = works.className(task, place);
        if (correction ? !chosen.includes(name) : !said.includes(name)) select.append(option(name, name));
      }
      select.append(option(NONE, say("none_of_these")));
      if (correction) select.append(option(UNCHECKED, say("not_checked")));
      select.value = "";
      markGiven(node, chosen);
    };
  }

  function markGiven(node, names) {
    for (const row of node.querySelectorAll(".choice")) row.classList.toggle("given", names.includes(row.dataset.label));
  }

  return {
    /** The blocks of a work. @param {number} work @param {WorkDetails} details */
    blocks(work, details) {
      shows = [];
      return works.questions.flatMap((_, question) => (judging.answering(work, question).length ? [block(work, question, details)] : []));
    },
    /** Shows what is said of the work now. */
    refresh() {
      for (const show of shows) show();
    },
  };
}
