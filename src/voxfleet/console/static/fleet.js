/** The gateways, the workers and what happened to them, as the operator's page shows a fleet. */

import { count, duration, milliseconds, NONE } from "./format.js";
import { fill, meter } from "./rows.js";

export const EVENTS_SHOWN = 20;
const OF_STREAMS = {
  moved: "moved to another worker at the end of a turn",
  replayed: "replayed to another worker",
  silent: "given up: speech was sent and nothing came back",
};
const OF_WORKERS = { left: "left, as it was told", lost: "lost: it stopped, or can't be reached" };

export function showGateways(body, gateways) {
  fill(body, gateways, ({ name, host, pid }) => `${name} ${host} ${pid}`, (gateway) => [
    { label: "Name", className: "name", show: (cell) => inTwo(cell, gateway.name, processOf(gateway)) },
    { label: "State", className: "status", show: (cell) => showState(cell, gateway.state) },
    { label: "Address", className: "name wide", text: gateway.address || NONE },
    { label: "Streams", className: "number", text: count(gateway.streams) },
    { label: "Opened", className: "number", text: count(gateway.opened) },
    { label: "Refused", className: "number", text: count(gateway.refused) },
    { label: "Failed", className: "number", text: count(gateway.failed) },
    { label: "Moved", className: "number", text: count(gateway.moves) },
    { label: "Replayed", className: "number", text: count(gateway.replays) },
    { label: "Up", className: "number", text: duration(gateway.uptime) },
  ]);
}

/** `details(name)`: what only the status knows of a worker. `action(worker)`: a last cell, or null for none. */
export function showWorkers(body, workers, details, action) {
  fill(body, workers, (worker) => worker.name, (worker) => {
    const { step_p50: middle, batch_mean: batch, languages = [] } = details(worker.name);
    const cells = [
      { label: "Name", className: "name", show: (cell) => {
        inTwo(cell, worker.name, processOf(worker), whereOf(worker));
        cell.title = worker.address ?? "";
      } },
      { label: "State", className: "status", show: (cell) => showState(cell, worker.state, worker.drain_left) },
      { label: "Places", className: "places", show: (cell) => showTaken(cell, worker) },
      { label: "Load", className: "load", show: (cell) => showLoad(cell, worker) },
      { label: "Model", className: "model wide", show: (cell) => showModel(cell, worker, languages) },
      { label: "Step", className: "steps", show: (cell) => showSteps(cell, middle, worker.step_p95, batch) },
      { label: "Up", className: "number", text: duration(worker.uptime) },
    ];
    const last = action(worker);
    return last ? [...cells, last] : cells;
  }, (worker) => worker.state === "lost");
}

/** Newest first. */
export function showEvents(body, events) {
  const shown = events.slice(-EVENTS_SHOWN).reverse();
  fill(body, shown, (event) => `${event.at} ${event.kind} ${event.worker}`, (event) => [
    { label: "Time", className: "time", show: (cell) => showTime(cell, event.at) },
    { label: "Worker", className: "name", text: event.worker },
    { label: "What happened", className: "event wide", show: (cell) => showEvent(cell, event) },
  ]);
}

/** What an event says. */
export function told({ kind, count: times = 1, text = "" }) {
  const said = OF_STREAMS[kind]
    ? `${count(times)} ${times === 1 ? "stream" : "streams"} ${OF_STREAMS[kind]}`
    : (OF_WORKERS[kind] ?? kind) + (times > 1 ? `, ${count(times)} times` : "");
  return text ? `${said} (${text})` : said;
}

function showEvent(cell, event) {
  const said = told(event);
  if (cell.textContent === said) return;
  const mark = document.createElement("span");
  mark.className = "happening";
  mark.dataset.kind = event.kind;
  mark.textContent = said;
  cell.replaceChildren(mark);
}

function showTime(cell, at) {
  const moment = new Date(at * 1000);
  const clock = moment.toTimeString().slice(0, 8);
  if (cell.textContent === clock) return;
  cell.textContent = clock;
  cell.title = moment.toLocaleString("en");
}

function processOf({ pid, host }) {
  return pid ? `pid ${pid}${host ? ` on ${host}` : ""}` : "";
}

function whereOf({ address = "" }) {
  return address.startsWith("unix:") ? "" : address;
}

/** A cell with a heading and small lines below it; empty lines are left out. */
function inTwo(cell, heading, ...lines) {
  const said = [heading, ...lines.filter(Boolean)];
  if (cell.dataset.said === said.join("\n")) return;
  cell.dataset.said = said.join("\n");
  const inside = document.createElement("span");
  inside.className = "cell";
  inside.append(...said.map((line, i) => {
    const part = document.createElement(i ? "small" : "span");
    part.textContent = line;
    return part;
  }));
  cell.replaceChildren(inside);
}

function showState(cell, state, left = null) {
  const said = left === null ? state : `${state}, ${Math.ceil(left)} s left`;
  const known = cell.firstElementChild;
  if (known?.dataset.state === state) {
    if (known.textContent !== said) known.textContent = said;
    return;
  }
  const chip = document.createElement("span");
  chip.className = "state";
  chip.dataset.state = state;
  chip.textContent = said;
  cell.replaceChildren(chip);
}

function showTaken(cell, { taken, places, capacity, state }) {
  const share = places > 0 ? taken / places : 0;
  const fewer = state === "ready" && capacity < places ? `takes ${count(capacity)} at this load` : "";
  showMeter(cell, share, share >= 1 ? "over" : share >= 0.85 ? "high" : "", `${count(taken)} / ${count(places)}`, fewer);
}

function showLoad(cell, { utilisation, chunk_ms: chunk, recorded_paused: paused }) {
  const chunks = chunk ? `${count(chunk)} ms chunks` : "";
  if (utilisation == null) {
    inTwo(cell, NONE, chunks);
    return;
  }
  const grade = utilisation >= 0.9 ? "over" : utilisation >= 0.8 ? "high" : "";
  showMeter(cell, utilisation, grade, `${Math.round(utilisation * 100)} %`, paused ? "files wait" : "", chunks);
}

function showSteps(cell, middle, late, batch) {
  const none = middle == null && late == null;
  const times = none ? NONE : `${milliseconds(middle)} · ${milliseconds(late)}`;
  inTwo(cell, times, batch == null ? "" : `batch of ${batch.toFixed(1)}`);
}

/** A bar and its figures; below them a note in the colour of a warning, and a plain one. */
function showMeter(cell, share, grade, figures, warning, note = "") {
  const said = [share, figures, warning, note].join("\n");
  if (cell.dataset.said === said) return;
  cell.dataset.said = said;
  const inside = document.createElement("span");
  inside.className = "cell";
  inside.append(meter(share, grade), figures);
  for (const [line, className] of [[warning, "warning"], [note, ""]]) {
    if (!line) continue;
    const small = document.createElement("small");
    small.className = className;
    small.textContent = line;
    inside.append(small);
  }
  cell.replaceChildren(inside);
}

/** Whisper hears a hundred languages; a row shows the first few and keeps the rest in its title. */
function showModel(cell, { model, device, labels = {} }, languages) {
  const more = languages.length > 4 ? ` and ${languages.length - 4} more` : "";
  const heard = languages.slice(0, 4).join(", ") + more;
  const pairs = Object.entries(labels).sort().map(([key, value]) => `${key}=${value}`);
  inTwo(cell, model ?? NONE, [device, heard].filter(Boolean).join(" · "), pairs.join(", "));
  cell.title = more ? languages.join(", ") : "";
}
