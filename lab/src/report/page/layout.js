// Where everything stands. A round is a band in which each thing that happened to a node has a slot, a line of its
// own; messages fly in the gutters between bands. In the overview the bands shrink to nothing.

const LINE = 18, PAD = 6, MARGIN = 46, TEXT = 20, CHANNEL = 11;

// What happened to one node in one round, in order; a belief only where beliefs are written out.
function slotsOf(model, node, round, detail) {
  const { run } = model;
  const slots = [];
  const steps = run.steps.filter((step) => step.node === node && step.round === round);
  const outcomes = run.outcomes.filter((outcome) => outcome.node === node && outcome.round === round);
  const told = (step) => outcomes.filter((outcome) => (step ? outcome.step === step.id : !steps.some((own) => own.id === outcome.step)));
  const add = (kind, list) => list.forEach((item) => slots.push({ kind, item }));
  for (const step of steps) {
    slots.push({ kind: "step", item: step });
    add("outcome", told(step));
  }
  add("outcome", told(null));
  const missed = (...fates) => model.landed.get(`${node} ${round}`)?.filter((message) => fates.includes(message.fate)) ?? [];
  add("missed", missed("lost"));
  if (detail === "beliefs") add("belief", run.beliefs.filter((belief) => belief.node === node && belief.round === round));
  add("crash", run.crashes.filter((crash) => crash.node === node && crash.round === round));
  add("missed", missed("dead", "flying", "delayed", "delivered", "ghost"));
  return slots;
}

function place(model, width, height, detail, ghosts = []) {
  const { run, first, end } = model;
  const overview = detail === "overview";
  model.landed = new Map();
  const sendable = [...run.messages, ...ghosts].filter((message) => message.sent <= model.last);
  for (const message of sendable) {
    if (message.receiver !== null) continue;
    const key = `${message.to} ${landing(message, end)}`;
    model.landed.set(key, [...(model.landed.get(key) ?? []), message]);
  }
  const flying = new Map();
  for (const message of sendable) flying.set(message.sent, (flying.get(message.sent) ?? 0) + 1);
  const column = (width - MARGIN) / Math.max(run.nodes.length, 1);
  const lanes = run.nodes.map((_, index) => MARGIN + index * column + (overview ? column / 2 : 16));
  const each = Math.max(11, Math.min(52, (height - 20) / (end - first + 1)));
  const places = { width, column, lanes, overview, small: overview && each < 16, bands: new Map(), slots: [], at: new Map(), height: 0 };
  let y = overview ? 8 : 4;
  for (let round = first; round <= end; round++) {
    const slots = run.nodes.map((node) => slotsOf(model, node.id, round, detail));
    const busiest = Math.max(...slots.map((list) => list.length), 0);
    const most = Math.max(1, busiest);
    const tall = overview ? each * 0.3 : busiest ? most * LINE + PAD : 15;
    const line = overview ? tall / most : LINE;
    slots.forEach((list, index) => list.forEach((slot, at) => {
      const spot = { ...slot, round, node: run.nodes[index].id, x: lanes[index], y: y + (overview ? 0 : PAD / 2) + (at + 0.5) * line, column: index };
      places.slots.push(spot);
      places.at.set(slot.kind === "step" ? slot.item.id : slot.item, spot);
    }));
    const gutter = overview ? each * 0.7 : round === end ? 6 : Math.min(54, flying.has(round) ? 20 + 2.5 * flying.get(round) : busiest ? 5 : 3);
    places.bands.set(round, { top: y, bottom: y + tall, next: y + tall + gutter });
    y += tall + gutter;
  }
  places.height = Math.ceil(y);
  return places;
}

// Where a message goes: from its step down the lane, across the gutter, down beside the receiver's lane into its slot.
function route(model, places, message) {
  const [from, to] = [model.columns.get(message.from), model.columns.get(message.to)];
  if (from === undefined || to === undefined) return null;
  const [x0, x1] = [places.lanes[from], places.lanes[to]];
  const band = places.bands.get(message.sent);
  const start = places.at.get(message.sender)?.y ?? band.bottom;
  const target = places.at.get(message.receiver ?? message);
  const land = target?.y ?? places.bands.get(landing(message, model.end)).top;
  const side = x0 <= x1 ? -1 : 1;
  if (places.overview) {
    const reach = message.fate === "lost" ? 0.8 : 1;
    const [x, y] = [x0 + (x1 - x0) * reach, start + (land - start) * reach];
    const bend = message.fate === "delayed" ? ` L${x1 + side * 6} ${band.next}` : "";
    return { path: `M${x0} ${start}${bend} L${x} ${y}`, x, y, side };
  }
  const channel = x1 + side * CHANNEL;
  const turn = Math.min(8, (land - band.next) / 2);
  const stop = message.fate === "lost" ? channel : x1 + side * 9;
  const enter = message.fate === "lost" ? `V${land}` : `V${land - turn} Q${channel} ${land} ${stop} ${land}`;
  const [drop, flat] = [Math.min(7, band.next - band.bottom), Math.min(9, Math.abs(channel - x0) / 2)];
  const slope = (band.next - band.bottom) / Math.max(1, Math.abs(channel - x0));
  const across = `L${channel + side * flat} ${band.next - flat * slope} Q${channel} ${band.next} ${channel} ${band.next + Math.min(drop, (land - band.next) / 2)}`;
  return { path: `M${x0} ${start} V${band.bottom} ${across} ${enter}`, x: stop, y: land, side };
}
