/** The operator's page: the server's status as it is now, and two lines of how it came there. */

import { clock, count, duration, milliseconds, NONE, seconds } from "./format.js";
import { fill, meter } from "./rows.js";
import { Sparkline } from "./sparkline.js";
import { follow } from "./status.js";

const BUDGET_SECONDS = 2;
const ROWS_SHOWN = 100;
const KINDS = [["first_partial", "First partial"], ["emission", "Word emission"], ["final", "Final"]];
const ORDERS = {
  lag: (a, b) => b.lag - a.lag || b.age - a.age,
  age: (a, b) => b.age - a.age,
  session: (a, b) => String(a.session).localeCompare(String(b.session)),
};

const byId = (id) => document.getElementById(id);
const liveLine = new Sparkline(byId("spark-live"), "Live streams", count);
const finalLine = new Sparkline(byId("spark-final"), "Final latency p95", seconds, BUDGET_SECONDS);
let latest = null;

byId("order").addEventListener("change", () => latest && showStreams(latest.live ?? []));
const following = follow({ status: show, freshness: showFreshness });
window.addEventListener("pagehide", () => following.stop());
window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());

function show(status) {
  latest = status;
  const now = performance.now() / 1000;
  const { streams = {}, latency = {}, workers = [], live = [] } = status;
  text("version", status.version ?? NONE);
  text("uptime", duration(status.uptime));
  text("draining", status.draining ? "draining: no new streams" : "taking streams");
  byId("draining").classList.toggle("late", Boolean(status.draining));
  for (const name of ["live", "opened", "refused", "failed"]) text(name, count(streams[name]));
  for (const name of ["refused", "failed"]) byId(name).classList.toggle("late", streams[name] > 0);
  showPlaces(workers);
  showLatency(latency);
  showWorkers(workers);
  showStreams(live);
  liveLine.add(streams.live ?? null, now);
  finalLine.add(latency.final?.p95 ?? null, now);
}

function showFreshness(kind, age, why) {
  byId("board").dataset.freshness = kind;
  const ago = kind === "fresh" || age === null ? "" : ` Figures are ${duration(age)} old.`;
  const sentence = { fresh: "Connected, updated every second", stale: `Late: ${why}.`, gone: `Disconnected: ${why}.` };
  text("connection", sentence[kind] + ago);
}

function showPlaces(workers) {
  const offering = workers.filter((worker) => worker.state === "ready");
  const [taken, offered] = ["taken", "places"].map((name) => offering.reduce((sum, worker) => sum + worker[name], 0));
  text("places", `${count(taken)} of ${count(offered)} places taken`);
}

function showLatency(latency) {
  const final = latency.final?.p95;
  text("final-big", seconds(final));
  byId("final-big").classList.toggle("late", final > BUDGET_SECONDS);
  fill(byId("latency"), KINDS, ([name]) => name, ([name, label]) => {
    const { p50, p95, count: measured } = latency[name] ?? {};
    const late = p95 > BUDGET_SECONDS ? "over" : "";
    return [
      { label: "", scope: "row", text: label },
      { label: "p50", text: seconds(p50) },
      { label: "p95", show: (cell) => {
        cell.textContent = seconds(p95);
        cell.classList.toggle("late", Boolean(late));
      } },
      { label: "of 2 s", show: (cell) => cell.replaceChildren(meter(p95 / BUDGET_SECONDS, late)) },
      { label: "count", text: count(measured) },
    ];
  });
}

function showWorkers(workers) {
  byId("no-workers").hidden = workers.length > 0;
  const ready = workers.filter((worker) => worker.state === "ready").length;
  text("workers-count", workers.length ? `${count(ready)} of ${count(workers.length)} ready` : "");
  fill(byId("workers"), workers, (worker) => worker.name, (worker) => [
    { label: "Name", className: "name", text: worker.name },
    { label: "State", className: "status", show: (cell) => showState(cell, worker.state) },
    { label: "Places", className: "places", show: (cell) => showTaken(cell, worker) },
    { label: "Model", className: "name wide", text: worker.model ?? NONE },
    { label: "Device", className: "wide", text: worker.device ?? NONE },
    { label: "Chunk", className: "number", text: worker.chunk_ms ? `${count(worker.chunk_ms)} ms` : NONE },
    { label: "Step p50", className: "number", text: milliseconds(worker.step_p50) },
    { label: "Step p95", className: "number", text: milliseconds(worker.step_p95) },
    { label: "Mean batch", className: "number", text: worker.batch_mean == null ? NONE : worker.batch_mean.toFixed(1) },
    { label: "Languages", className: "wide", show: (cell) => showLanguages(cell, worker.languages ?? []) },
  ], (worker) => worker.state === "lost");
}

function showState(cell, state) {
  if (cell.firstElementChild?.dataset.state === state) return;
  const chip = document.createElement("span");
  chip.className = "state";
  chip.dataset.state = state;
  chip.textContent = state;
  cell.replaceChildren(chip);
}

function showTaken(cell, { taken, places }) {
  const share = places > 0 ? taken / places : 0;
  const inside = document.createElement("span");
  inside.className = "cell";
  inside.append(meter(share, share >= 1 ? "over" : share >= 0.85 ? "high" : ""), `${count(taken)} / ${count(places)}`);
  cell.replaceChildren(inside);
}

/** Whisper hears a hundred languages; a row shows the first few and keeps the rest in its title. */
function showLanguages(cell, languages) {
  const more = languages.length > 4 ? ` and ${languages.length - 4} more` : "";
  const shown = languages.slice(0, 4).join(", ") + more;
  if (cell.textContent === shown) return;
  cell.textContent = shown;
  cell.title = more ? languages.join(", ") : "";
}

function showStreams(live) {
  const ordered = [...live].sort(ORDERS[byId("order").value]);
  const shown = ordered.slice(0, ROWS_SHOWN);
  byId("no-streams").hidden = live.length > 0;
  const some = live.length > shown.length ? `${count(shown.length)} of ` : "";
  text("live-count", `${some}${count(live.length)} shown`);
  fill(byId("streams"), shown, (stream) => stream.session, (stream) => [
    { label: "Session", className: "name", text: String(stream.session) },
    { label: "Model", className: "name wide", text: stream.model },
    { label: "Language", text: stream.language },
    { label: "Channels", className: "number", text: count(stream.channels) },
    { label: "Audio", className: "number", text: clock(stream.audio) },
    { label: "Lag", className: "number", text: seconds(stream.lag) },
    { label: "Age", className: "number", text: duration(stream.age) },
  ], (stream) => stream.lag > BUDGET_SECONDS);
}

function text(id, value) {
  const place = byId(id);
  if (place.textContent !== String(value)) place.textContent = String(value);
}
