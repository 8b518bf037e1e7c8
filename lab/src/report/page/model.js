// The run as the picture needs it: everything findable by id, lineage, and what two runs do not share.

const report = JSON.parse(document.getElementById("data").textContent);

function prepare(run) {
  const model = { run, steps: new Map(), incoming: new Map(), columns: new Map() };
  run.nodes.forEach((node, column) => model.columns.set(node.id, column));
  for (const step of run.steps) model.steps.set(step.id, step);
  run.messages.forEach((message, index) => {
    if (message.receiver !== null) model.incoming.set(message.receiver, index);
  });
  const rounds = run.steps.map((step) => step.round);
  const named = [...rounds, ...run.messages.map((message) => message.sent)];
  model.first = named.length ? Math.min(...named) : 0;
  model.last = Math.max(model.first + run.rounds - 1, model.first, ...rounds, ...run.outcomes.map((outcome) => outcome.round));
  // What was sent in the last round lands in a band of its own, after the end.
  model.end = model.last + (run.messages.some((message) => landing(message, Infinity) > model.last) ? 1 : 0);
  return model;
}

// The round whose band shows what became of a message.
function landing(message, end) {
  return Math.min(message.arrives ?? (message.fate === "lost" || message.fate === "dead" ? message.sent + 1 : end), end);
}

function nameOf(model, id) {
  const column = model.columns.get(id);
  return column === undefined ? `n${id}` : model.run.nodes[column].name;
}

// Everything that a set of steps leans on, transitively: steps, messages (by index), and pairs of steps on one node.
function lineage(model, roots) {
  const found = { steps: new Set(), messages: new Set(), cords: [] };
  const waiting = roots.filter((id) => model.steps.has(id));
  while (waiting.length) {
    const id = waiting.pop();
    if (found.steps.has(id)) continue;
    found.steps.add(id);
    const step = model.steps.get(id);
    const message = model.incoming.get(id);
    if (message !== undefined) {
      found.messages.add(message);
      if (model.steps.has(model.run.messages[message].sender)) waiting.push(model.run.messages[message].sender);
    }
    for (const cause of step.because) {
      const earlier = model.steps.get(cause);
      if (!earlier) continue;
      waiting.push(cause);
      if (earlier.node === step.node) found.cords.push([cause, id]);
    }
  }
  return found;
}

const keyOf = (message) => [message.from, message.to, message.sent, message.text].join("\u0000");

// Which messages of a run the other run has too, with the same fate, and which of the other this one lacks. The steps
// that sent and received those do not exist here.
function difference(run, other) {
  const index = (messages) => {
    const map = new Map();
    for (const message of messages) map.set(keyOf(message), message.fate);
    return map;
  };
  const [here, there] = [index(run.messages), index(other.messages)];
  return {
    shared: run.messages.map((message) => there.get(keyOf(message)) === message.fate),
    missing: other.messages.filter((message) => !here.has(keyOf(message))).map((message) => ({ ...message, fate: "ghost", sender: null, receiver: null })),
  };
}

// The fault that hits this message in the counterexample, if this run was spared it.
function cutBy(run, message) {
  if (message.fate !== "delivered") return undefined;
  return report.faults.find((fault) => fault.kind === "loss" && run.good && fault.from === message.from && fault.to === message.to && fault.round === message.sent);
}

function crashAt(run, node, round) {
  return run.crashes.find((crash) => crash.node === node && crash.round <= round && (crash.until === null || round < crash.until));
}

// The belief in force at the end of a round, and the one that it replaced in that round.
function beliefAt(run, node, round) {
  const past = run.beliefs.filter((belief) => belief.node === node && belief.round <= round);
  const now = past.at(-1);
  const changed = now !== undefined && now.round === round;
  const before = changed ? past.filter((belief) => belief.round < round).at(-1) : undefined;
  return { now, before, changed };
}
