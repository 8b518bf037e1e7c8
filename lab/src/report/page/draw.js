// The picture: lines and signs as SVG, words as HTML over it, so that they can be cut off, selected and found.

const SIGNS = {
  message: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
  start: "M-4.5-4H4.5L0 4.5z",
  request: "M-4-4H4V4H-4z",
  timer: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0zM0-3V0H2.6",
  synced: "M-5-3H5V3H-5zM-5 0H5",
  recover: "M-4.5 4H4.5L0-4.5z",
  outcome: "M0-6L6 0L0 6L-6 0z",
  crash: "M2.5-9L-5 1.5H-.5L-2.5 9L5-1.5H.5z",
  cross: "M-4-4L4 4M4-4L-4 4",
};
const KINDS = { message: "received", start: "started", request: "was asked", timer: "timer", synced: "on disk", recover: "recovered" };
const FATES = { delivered: "delivered", lost: "lost", delayed: "delayed", dead: "to a node that is down", flying: "still under way at the end", ghost: "only in the other run" };

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const sign = (kind, x, y, extra = "", small = false) => svg("path", { d: SIGNS[kind], transform: `translate(${x} ${y})${small ? " scale(.7)" : ""}`, class: `sign ${kind} ${extra}` });

// Draws a run into the diagram; returns what must be found again: elements of steps and messages, and their tips.
function draw(diagram, model, places, differing) {
  const { run } = model;
  const drawn = { steps: new Map(), messages: [], outcomes: new Map(), timed: [], tips: new Map() };
  const show = (element, round, tip) => {
    drawn.timed.push({ element, round });
    if (round >= 0) element.dataset.at = round;
    if (tip) drawn.tips.set(element, tip);
    return element;
  };
  const hatch = svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("path", { d: "M0 0V6" }));
  const layers = ["ground", "cords", "veils", "ghosts", "lines", "lit", "signs"].map((name) => svg("g", { class: name }));
  const [ground, cords, veils, ghosts, lines, lit, signs] = layers;
  const picture = svg("svg", { width: places.width, height: places.height, role: "img", "aria-label": summary(model) }, svg("defs", {}, hatch), ...layers);
  const words = html("div", { class: "words" });
  diagram.replaceChildren(picture, words);
  diagram.style.height = `${places.height}px`;
  drawn.lit = lit;
  // What the slider has not reached yet lies under it.
  drawn.veil = svg("rect", { x: 0, y: places.height, width: places.width, height: 0, class: "veil" });
  veils.append(drawn.veil);
  drawBands(model, places, ground, words, drawn, show);
  drawCords(model, places, cords);
  run.messages.forEach((message, index) => {
    const line = drawMessage(model, places, message, index);
    if (!line) return;
    if (differing) line.classList.add(differing.shared[index] ? "shared" : "differs");
    drawn.messages[index] = [show(line, message.sent, messageTip(model, message))];
    lines.append(line);
  });
  for (const message of differing?.missing ?? []) {
    const line = places.bands.has(message.sent) && drawMessage(model, places, message);
    if (line) ghosts.append(show(line, message.sent, messageTip(model, message)));
  }
  for (const slot of places.slots) drawSlot(model, places, slot, { signs, words, drawn, show, differing });
  return drawn;
}

function summary(model) {
  const { run } = model;
  const lost = run.messages.filter((message) => message.fate === "lost").length;
  return `${run.title}: ${run.nodes.length} nodes, ${model.last - model.first + 1} rounds, ${run.messages.length} messages, ${lost} lost, ${run.crashes.length} crashes`;
}

function drawBands(model, places, ground, words, drawn, show) {
  const every = places.overview && places.bands.get(model.first).next - places.bands.get(model.first).top < 15 ? 5 : 1;
  for (const [round, band] of places.bands) {
    const after = round > model.last;
    ground.append(svg("rect", { x: 0, y: band.top, width: places.width, height: band.bottom - band.top, class: "band", rx: 3 }));
    if (!after && round <= report.spec.last_fault && round > 0 && !places.overview) {
      ground.append(svg("rect", { x: 0, y: band.top, width: 3, height: band.next - band.top, class: "faulty" }));
    }
    if ((round - model.first) % every && round !== model.last) continue;
    const number = html("button", { class: "number", "aria-label": after ? "after the end" : `show up to round ${round}`, style: `top:${band.top}px;height:${Math.min(places.overview ? 11 : 24, band.bottom - band.top < 15 ? 11 : band.bottom - band.top)}px` }, after ? "end" : `${round}`);
    if (!after) number.dataset.round = round;
    words.append(show(number, round - 1e6));
  }
}

function drawCords(model, places, cords) {
  const bottom = places.bands.get(model.last).bottom;
  model.run.nodes.forEach((node, index) => {
    const x = places.lanes[index];
    let from = 0;
    const down = model.run.crashes.filter((crash) => crash.node === node.id).sort((a, b) => a.round - b.round);
    for (const crash of down) {
      const top = places.at.get(crash)?.y ?? places.bands.get(Math.min(crash.round, model.end)).bottom;
      const back = crash.until === null ? undefined : places.bands.get(crash.until);
      const until = back ? back.top : places.height;
      cords.append(svg("path", { d: `M${x} ${from}V${top}`, class: "cord" }), svg("rect", { x: x - 5, y: top, width: 10, height: Math.max(0, until - top), class: "down" }));
      from = until;
    }
    if (from < bottom) cords.append(svg("path", { d: `M${x} ${from}V${bottom}`, class: "cord" }), svg("circle", { cx: x, cy: bottom, r: 2, class: "knot" }));
  });
}

// Without an index it is a message of the other run.
function drawMessage(model, places, message, index) {
  const way = route(model, places, message);
  if (!way) return null;
  const group = svg("g", index === undefined ? { class: "ghost" } : { class: `message-line ${message.fate} item`, "data-message": index }, svg("path", { d: way.path, class: "reach" }), svg("path", { d: way.path, class: "line" }));
  if (message.fate === "lost") group.append(sign("cross", way.x, way.y, "", places.small));
  else if (message.fate === "dead" && !places.overview) group.append(svg("path", { d: `M${way.x} ${way.y - 4}V${way.y + 4}`, class: "stopper" }));
  else if (!places.overview) group.append(svg("path", { d: `M0 0l${way.side * 6}-3.5v7z`, transform: `translate(${way.x - way.side * 4} ${way.y})`, class: "head-of-line" }));
  return group;
}

// A slot's sign on the lane and its words beside it.
function drawSlot(model, places, slot, { signs, words, drawn, show, differing }) {
  const { kind, item, x, y } = slot;
  const message = kind === "missed" ? item : kind === "step" ? model.run.messages[model.incoming.get(item.id)] : undefined;
  const index = message ? model.run.messages.indexOf(message) : -1;
  const tip = kind === "step" ? stepTip(model, item, message) : kind === "missed" ? messageTip(model, item) : kind === "outcome" ? outcomeTip(model, item) : undefined;
  const marks = [];
  if (kind === "step") marks.push(sign(item.kind, x, y, "item", places.small));
  if (kind === "step") marks[0].dataset.step = item.id;
  if (kind === "outcome") marks.push(sign("outcome", x, y, `item ${item.goal ? "goal" : ""}`, places.small));
  if (kind === "crash") marks.push(sign("crash", x, y, "", places.small));
  for (const mark of marks) signs.append(show(mark, slot.round, tip));
  if (!places.overview) {
    const room = Math.max(0, places.column - TEXT - 14);
    const label = labelOf(model, slot, message, room - 8);
    label.style.cssText = `left:${x + TEXT - 4}px;top:${y - LINE / 2}px;max-width:${room}px`;
    if (index >= 0 && differing) label.classList.add(differing.shared[index] ? "shared" : "differs");
    words.append(show(label, slot.round, tip));
    marks.push(label);
  }
  if (kind === "step") drawn.steps.set(item.id, marks);
  if (kind === "outcome") drawn.outcomes.set(item, marks);
  if (index >= 0) (drawn.messages[index] ??= []).push(...marks.filter((mark) => mark.classList.contains("label")));
}

const pen = document.createElement("canvas").getContext("2d");
pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
const widthOf = (text) => pen.measureText(text).width;

// Programs tell their messages apart at the end ("append term 2 entry 7"), so what does not fit is left out before it.
function shorten(text, room) {
  const letters = Math.floor((text.length * room) / Math.max(1, widthOf(text)));
  if (text.length <= letters || letters < 6) return text;
  const tail = text.slice(-Math.floor(letters * 0.55));
  const word = tail.indexOf(" ");
  return `${text.slice(0, letters - tail.length - 1).trimEnd()}…${word < tail.length / 2 ? tail.slice(word + 1) : tail}`;
}

function labelOf(model, slot, message, room) {
  const { kind, item } = slot;
  const label = html(kind === "outcome" ? "button" : "span", { class: `label ${kind} item` });
  const add = (text, part) => label.append(part ? html("i", { class: part }, text) : text);
  if (message) {
    label.classList.add(message.fate);
    if (kind === "missed") add({ lost: "", dead: "⊣ ", ghost: "+ " }[message.fate] ?? "… ", "mark");
    if (message.fate === "delayed") add(`+${landing(message, model.end) - message.sent - 1} `, "mark");
    if (cutBy(model.run, message)) add("✂ ", "mark cut");
    const says = shorten(message.text, room - widthOf(label.textContent) - (label.textContent ? 8 : 0));
    label.append(html("span", { class: "says" }, says));
    // The line shows it too: where there is no room for the whole name there is none.
    const from = ` from ${nameOf(model, message.from)}`;
    if (widthOf(label.textContent + from) <= room) add(from, "from");
  } else if (kind === "step") {
    label.classList.add(item.kind);
    add(shorten(item.text || KINDS[item.kind], room));
  } else if (kind === "outcome") {
    label.classList.toggle("goal", item.goal);
    add(shorten(item.text, room * 0.93));
  } else if (kind === "belief") add(shorten(item.text, room - 12));
  else add(item.until === null ? "crashes for good" : `crashes, back in ${item.until}`);
  if (kind === "belief" || kind === "crash") label.title = item.text ?? label.textContent;
  return label;
}

function messageTip(model, message) {
  const ends = `${nameOf(model, message.from)} → ${nameOf(model, message.to)}, sent in round ${message.sent}`;
  const cut = cutBy(model.run, message) ? ["the counterexample loses this one"] : [];
  const when = message.arrives !== null && message.fate !== "lost" ? `, arrives in round ${message.arrives}` : "";
  return { title: message.text, lines: [ends, FATES[message.fate] + when, ...cut] };
}

function stepTip(model, step, message) {
  const about = message ? messageTip(model, message) : { title: step.text || KINDS[step.kind], lines: [] };
  const own = message && step.text && step.text !== message.text ? [step.text] : [];
  return { title: about.title, lines: [`${nameOf(model, step.node)} in round ${step.round}: ${KINDS[step.kind]}`, ...own, ...about.lines], step };
}

function outcomeTip(model, outcome) {
  return { title: outcome.text, lines: [`${nameOf(model, outcome.node)} in round ${outcome.round}`, outcome.goal ? "the promise asks for this" : "the promise does not ask for this"], outcome };
}

// The whole run in a strip: the overview's lines without words, squeezed.
function drawMap(map, model, height) {
  const places = place(model, 400, height, "overview");
  const picture = svg("svg", { viewBox: `0 0 400 ${places.height}`, preserveAspectRatio: "none" });
  drawCords(model, places, picture);
  const worst = ["delivered", "flying", "dead", "delayed", "lost"];
  for (const fate of worst) {
    for (const message of model.run.messages.filter((message) => message.fate === fate)) {
      const way = route(model, places, message);
      if (way) picture.append(svg("path", { d: way.path, class: `line ${fate}` }));
    }
  }
  map.replaceChildren(picture, html("div", { class: "window" }));
}
