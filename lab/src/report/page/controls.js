// What a reader can do: choose a run, step through its rounds, trace an outcome back, look closer.

const by = (id) => document.getElementById(id);
const [diagram, names, map, tip] = ["diagram", "names", "map", "tip"].map(by);
const models = report.runs.map(prepare);
const DETAILS = [["beliefs", "Full"], ["words", "Words"], ["overview", "Overview"]];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const view = { run: 0, round: 0, detail: "beliefs", comparing: false, pinned: null, playing: 0 };
let [model, places, drawn] = [null, null, null];

function choose(run) {
  view.run = run;
  model = models[run];
  view.round = model.last;
  view.pinned = null;
  const slider = by("round");
  [slider.min, slider.max, slider.value] = [model.first, model.last, model.last];
  render();
}

// Draws again in another way; the round at the top of the window stays there.
function redraw(change) {
  const edge = () => diagram.getBoundingClientRect().top - names.getBoundingClientRect().bottom;
  const before = edge();
  const [round] = [...places.bands].find(([, band]) => band.next > -before) ?? [model.first];
  change();
  render();
  if (before < 0) scrollBy({ top: edge() + (places.bands.get(round)?.top ?? 0), behavior: "instant" });
}

// Lays out and draws the chosen run; needed again whenever the room changes.
function render() {
  const { run } = model;
  const other = models[view.run === 0 ? 1 : 0];
  document.documentElement.style.setProperty("--bar", `${document.querySelector(".bar").offsetHeight}px`);
  const room = innerHeight - names.getBoundingClientRect().height - document.querySelector(".bar").offsetHeight - 40;
  const differing = view.comparing && other && other !== model ? difference(run, other.run) : null;
  const lay = () => place(model, diagram.clientWidth, Math.max(room, 320), view.detail, differing?.missing);
  places = lay();
  map.hidden = places.height < room;
  if (places.width !== diagram.clientWidth) places = lay();
  drawn = draw(diagram, model, places, differing);
  diagram.classList.toggle("overview", places.overview);
  diagram.classList.toggle("comparing", view.comparing);
  names.replaceChildren(...run.nodes.map((node, index) => {
    const label = html("span", { class: "node", title: node.name, style: `left:${places.lanes[index]}px;max-width:${places.column - 20}px` }, node.name);
    label.classList.toggle("centred", places.overview);
    return label;
  }));
  by("closing").replaceChildren(html("strong", {}, run.good ? "✓ Kept. " : "✕ Broken. "), run.verdict);
  by("closing").className = `closing ${run.good ? "good" : "bad"}`;
  if (!map.hidden) drawMap(map, model, innerHeight - 160);
  listOutcomes();
  pressed("runs", view.run);
  pressed("detail", DETAILS.findIndex(([name]) => name === view.detail));
  by("compare").setAttribute("aria-pressed", view.comparing);
  reveal(view.round);
  trace(view.pinned);
  moveWindow();
}

function pressed(group, chosen) {
  [...by(group).children].forEach((button, index) => button.setAttribute("aria-pressed", index === chosen));
}

function listOutcomes() {
  const items = model.run.outcomes.map((outcome, index) => {
    const button = html("button", { class: `outcome ${outcome.goal ? "goal" : ""}`, "data-outcome": index, "aria-pressed": "false" },
      html("span", { class: "what" }, outcome.text), html("span", { class: "where" }, `${nameOf(model, outcome.node)}, round ${outcome.round}`));
    listen(button, outcome);
    return button;
  });
  items.push(...absences());
  by("outcomes").replaceChildren(...(items.length ? items : [html("p", { class: "hint" }, "Nobody told the world anything.")]));
  for (const [outcome, marks] of drawn.outcomes) marks.forEach((mark) => listen(mark, outcome));
  for (const [id, marks] of drawn.steps) marks.forEach((mark) => mark.addEventListener("click", () => pin(model.steps.get(id))));
}

// What the promise asks for and only the run without faults has: a click goes there and shows what it leaned on.
function absences() {
  const good = models.findIndex((other) => other.run.good);
  if (model.run.good || good < 0) return [];
  const present = (goal) => model.run.outcomes.some((own) => own.node === goal.node && own.text === goal.text);
  return models[good].run.outcomes.filter((goal) => goal.goal && !present(goal)).map((goal) => {
    const button = html("button", { class: "outcome absent", title: `what it leaned on in the run ${models[good].run.title}` },
      html("span", { class: "what" }, goal.text), html("span", { class: "where" }, `${nameOf(model, goal.node)}: never here; round ${goal.round} ${models[good].run.title}`));
    button.addEventListener("click", () => { choose(good); pin(goal); });
    return button;
  });
}

function listen(element, outcome) {
  element.addEventListener("mouseenter", () => trace(outcome));
  element.addEventListener("focus", () => trace(outcome));
  element.addEventListener("mouseleave", () => trace(view.pinned));
  element.addEventListener("blur", () => trace(view.pinned));
  element.addEventListener("click", (event) => { event.stopPropagation(); pin(outcome); });
}

function pin(what) {
  view.pinned = view.pinned === what ? null : what;
  trace(view.pinned);
}

// Lights up all that an outcome or a step leans on, and dims the rest.
function trace(what) {
  for (const element of diagram.querySelectorAll(".is-lit")) element.classList.remove("is-lit");
  drawn.lit.replaceChildren();
  diagram.classList.toggle("tracing", what !== null);
  for (const button of by("outcomes").querySelectorAll("[data-outcome]")) {
    button.setAttribute("aria-pressed", model.run.outcomes[button.dataset.outcome] === view.pinned);
  }
  by("lineage").textContent = what ? "" : model.run.outcomes.length ? "Point at an outcome to see what it leaned on; a click keeps it lit." : "";
  if (!what) return;
  const found = lineage(model, "step" in what ? [what.step, ...what.because] : [what.id]);
  if ("step" in what) {
    for (const mark of drawn.outcomes.get(what) ?? []) mark.classList.add("is-lit");
    for (const id of [what.step, ...what.because]) if (model.steps.get(id)?.node === what.node) light(places.at.get(id), places.at.get(what));
  }
  for (const id of found.steps) for (const mark of drawn.steps.get(id) ?? []) mark.classList.add("is-lit");
  for (const index of found.messages) for (const mark of drawn.messages[index] ?? []) mark.classList.add("is-lit");
  for (const [cause, effect] of found.cords) light(places.at.get(cause), places.at.get(effect));
  const hits = [...found.messages].filter((index) => cutBy(model.run, model.run.messages[index])).length;
  by("lineage").textContent = `${what.text} leaned on ${plural(found.steps.size, "step")} and ${plural(found.messages.size, "message")}${hits ? `, ${hits} of them lost in the counterexample (✂)` : ""}.`;
}

const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function light(from, to) {
  if (from && to) drawn.lit.append(svg("path", { d: `M${from.x} ${from.y}V${to.y}` }));
}

// Shows the run up to and including a round.
function reveal(round) {
  view.round = Math.max(model.first, Math.min(model.last, round));
  const whole = view.round === model.last;
  for (const { element, round } of drawn.timed) element.classList.toggle("later", !whole && round > view.round);
  const under = whole ? places.height : places.bands.get(view.round).bottom;
  drawn.veil.setAttribute("y", under);
  drawn.veil.setAttribute("height", places.height - under);
  for (const number of diagram.querySelectorAll(".number")) number.classList.toggle("now", Number(number.dataset.round) === view.round);
  by("round").value = view.round;
  by("round").setAttribute("aria-valuetext", `round ${view.round}`);
  by("shown").textContent = `round ${view.round} of ${model.last}`;
  names.querySelectorAll(".node").forEach((label, index) => label.classList.toggle("is-down", crashAt(model.run, model.run.nodes[index].id, view.round) !== undefined));
  tellBeliefs();
}

function tellBeliefs() {
  by("beliefs-title").textContent = `Beliefs after round ${view.round}`;
  by("beliefs").replaceChildren(...model.run.nodes.flatMap((node) => {
    const { now, before, changed } = beliefAt(model.run, node.id, view.round);
    const crash = crashAt(model.run, node.id, view.round);
    const term = html("dt", {}, node.name);
    if (crash) term.append(html("span", { class: "tag" }, `down since ${crash.round}`));
    if (changed) term.append(html("span", { class: "tag new" }, "changed"));
    const belief = html("dd", { class: `${changed ? "changed" : ""} ${crash ? "is-down" : ""}` }, now ? now.text : "nothing yet");
    if (before) belief.append(html("span", { class: "was" }, `was: ${before.text}`));
    return [term, belief];
  }));
}

function go(round) {
  reveal(round);
  const band = places.bands.get(view.round);
  const top = diagram.getBoundingClientRect().top;
  const [from, to] = [names.getBoundingClientRect().bottom, innerHeight - 40];
  if (top + band.top < from || top + band.next > to) scrollBy({ top: top + band.top - (from + to) / 2, behavior: calm.matches ? "auto" : "smooth" });
}

function play(wanted) {
  clearInterval(view.playing);
  view.playing = 0;
  if (wanted) {
    if (view.round >= model.last) go(model.first);
    view.playing = setInterval(() => (view.round < model.last ? go(view.round + 1) : play(false)), 700);
  }
  by("play").textContent = wanted ? "❚❚" : "▶";
  by("play").setAttribute("aria-label", wanted ? "Pause" : "Play");
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  by("theme").textContent = theme === "dark" ? "Light" : "Dark";
  by("theme").setAttribute("aria-label", theme === "dark" ? "Light theme" : "Dark theme");
}

const otherTheme = () => (document.documentElement.dataset.theme === "dark" ? "light" : "dark");

// The frame in the strip stands for what the window shows of the diagram.
function moveWindow() {
  const frame = map.querySelector(".window");
  if (map.hidden || !frame) return;
  const top = diagram.getBoundingClientRect().top - names.getBoundingClientRect().bottom;
  const share = (y) => Math.max(0, Math.min(1, shareOf(y)));
  const [from, to] = [share(-top), share(innerHeight - names.getBoundingClientRect().bottom - top)];
  frame.style.cssText = `top:${from * 100}%;height:${Math.max(0.5, (to - from) * 100)}%`;
}

// Rounds are evenly spaced in the strip and not in the diagram.
function shareOf(y) {
  let index = 0;
  for (const band of places.bands.values()) {
    if (y < band.next) return (index + Math.max(0, y - band.top) / (band.next - band.top)) / places.bands.size;
    index++;
  }
  return 1;
}

function jump(event) {
  const box = map.getBoundingClientRect();
  const bands = [...places.bands.values()];
  const band = bands[Math.max(0, Math.min(bands.length - 1, Math.floor(((event.clientY - box.top) / box.height) * bands.length)))];
  scrollBy({ top: diagram.getBoundingClientRect().top + band.top - innerHeight / 2 });
}

function explain(event) {
  const element = event.target.closest?.(".item, .ghost");
  const index = element?.dataset.message;
  const about = element && (drawn.tips.get(element) ?? (index && messageTip(model, model.run.messages[index])));
  tip.hidden = !about;
  if (!about) return;
  tip.replaceChildren(html("strong", {}, about.title), ...about.lines.map((line) => html("span", {}, line)));
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
}

const KEYS = {
  ArrowLeft: () => go(view.round - 1),
  ArrowRight: () => go(view.round + 1),
  Home: () => go(model.first),
  End: () => go(model.last),
  " ": () => play(!view.playing),
  Escape: () => { tip.hidden = true; view.pinned = null; trace(null); },
  c: () => by("compare").click(),
  t: () => by("theme").click(),
};

function legend() {
  const small = (...children) => svg("svg", { width: 26, height: 16, viewBox: "-13 -8 26 16", "aria-hidden": "true" }, ...children);
  const line = (fate, ...more) => small(svg("g", { class: `message-line ${fate}` }, svg("path", { d: "M-12 0H9", class: "line" }), ...more));
  const rows = [
    ...Object.entries(KINDS).map(([kind, words]) => [small(sign(kind, 0, 0)), words]),
    [small(sign("outcome", 0, 0, "goal")), "promised outcome"],
    [small(sign("outcome", 0, 0)), "other outcome"],
    [line("lost", sign("cross", 9, 0)), "lost"],
    [line("delayed"), "delayed, + rounds"],
    [line("dead", svg("path", { d: "M9-4V4", class: "stopper" })), "receiver is down"],
    [small(sign("crash", 0, 0)), "crash, then down"],
    [html("i", { class: "mark cut" }, "✂"), "the faults cut it"],
    [small(svg("g", { class: "ghost" }, svg("path", { d: "M-12 0H12", class: "line" }))), "only in other run"],
    [html("i", {}, "≈"), "belief"],
    [small(svg("rect", { x: -2, y: -8, width: 4, height: 16, class: "faulty" })), "losses allowed"],
  ];
  by("legend").replaceChildren(...rows.map(([mark, words]) => html("li", {}, mark, html("span", {}, words))));
}

function start() {
  by("runs").append(...report.runs.map((run, index) => {
    const button = html("button", {}, html("span", { class: run.good ? "good" : "bad", "aria-hidden": "true" }, run.good ? "✓ " : "✕ "), run.title);
    button.addEventListener("click", () => { play(false); choose(index); });
    return button;
  }));
  by("detail").append(...DETAILS.map(([detail, words]) => {
    const button = html("button", {}, words);
    button.addEventListener("click", () => redraw(() => { view.detail = detail; }));
    return button;
  }));
  by("compare").hidden = models.length < 2;
  by("back").addEventListener("click", () => go(view.round - 1));
  by("forth").addEventListener("click", () => go(view.round + 1));
  by("play").addEventListener("click", () => play(!view.playing));
  by("round").addEventListener("input", (event) => { play(false); go(Number(event.target.value)); });
  by("compare").addEventListener("click", () => redraw(() => { view.comparing = !view.comparing; }));
  by("theme").addEventListener("click", () => paint(otherTheme()));
  diagram.addEventListener("mousemove", explain);
  diagram.addEventListener("mouseleave", () => { tip.hidden = true; });
  diagram.addEventListener("click", (event) => { if (event.target.dataset.round) go(Number(event.target.dataset.round)); });
  map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); jump(event); });
  map.addEventListener("pointermove", (event) => { if (event.buttons) jump(event); });
  addEventListener("scroll", moveWindow, { passive: true });
  addEventListener("resize", () => redraw(() => {}));
  addEventListener("keydown", (event) => {
    const busy = event.target.matches?.("input") || (event.key === " " && event.target.matches?.("button, summary"));
    if (!KEYS[event.key] || busy || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  paint(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => paint(event.matches ? "dark" : "light"));
  legend();
  // Where a column is too narrow for words, lines alone say more.
  if (models.some((model) => diagram.clientWidth / model.run.nodes.length < 90)) view.detail = "overview";
  const worst = report.runs.findIndex((run) => !run.good);
  choose(worst < 0 ? 0 : worst);
}

if (models.length) start();
else for (const part of document.querySelectorAll("main, .bar")) part.hidden = true;
