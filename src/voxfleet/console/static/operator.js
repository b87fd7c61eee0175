/** The operator's page: the fleet and this server's status as they are now, and two lines of how it came there. */

import { Drain, isLocal } from "./drain.js";
import { EVENTS_SHOWN, showEvents, showGateways, showWorkers } from "./fleet.js";
import { clock, count, duration, NONE, seconds } from "./format.js";
import { fill, meter } from "./rows.js";
import { Sparkline } from "./sparkline.js";
import { follow } from "./status.js";

const BUDGET_SECONDS = 2;
const ROWS_SHOWN = 100;
const KINDS = [
  ["first_partial", "First partial"], ["emission", "Word emission"], ["final", "Final"], ["recovery", "Recovery"],
];
const SUMS = [["opened", "opened"], ["refused", "refused"], ["failed", "failed"], ["moved", "moves"],
  ["replayed", "replays"]];
const ORDERS = {
  lag: (a, b) => b.lag - a.lag || b.age - a.age,
  age: (a, b) => b.age - a.age,
  session: (a, b) => String(a.session).localeCompare(String(b.session)),
};

const byId = (id) => document.getElementById(id);
const liveLine = new Sparkline(byId("spark-live"), "Live streams", count);
const finalLine = new Sparkline(byId("spark-final"), "Final latency p95", seconds, BUDGET_SECONDS);
const drain = isLocal() ? new Drain((name) => text("told", `${name} was told to leave.`)) : null;
let latest = null;

byId("actions").hidden = drain === null;
byId("order").addEventListener("change", () => latest && showStreams(...latest));
const following = follow({ status: show, freshness: showFreshness });
window.addEventListener("pagehide", () => following.stop());
window.addEventListener("pageshow", (event) => event.persisted && window.location.reload());

function show(status, fleet) {
  const now = performance.now() / 1000;
  const { latency = {}, live = [] } = status;
  const { gateways = [], workers = [], events = [], recovery, totals = {} } = fleet;
  const whose = gateways.length > 1 ? fleet.gateway : "";
  latest = [live, whose];
  text("version", status.version ?? NONE);
  text("uptime", duration(status.uptime));
  text("gateway-name", fleet.gateway || "Gateway");
  text("draining", status.draining ? "draining: no new streams" : "taking streams");
  byId("draining").classList.toggle("late", Boolean(status.draining));
  text("live", count(totals.streams));
  showSums(gateways);
  showPlaces(workers);
  showLatency({ ...latency, recovery });
  text("latency-whose", whose ? ` · ${whose}` : "");
  showFleet(status.workers ?? [], gateways, workers);
  showEvents(byId("events"), events);
  byId("no-events").hidden = events.length > 0;
  const earlier = events.length - EVENTS_SHOWN;
  text("events-count", (whose ? `as ${whose} saw it` : "") + (earlier > 0 ? ` (${count(earlier)} earlier)` : ""));
  showStreams(live, whose);
  liveLine.add(totals.streams ?? null, now);
  finalLine.add(latency.final?.p95 ?? null, now);
}

function showFreshness(kind, age, why) {
  byId("board").dataset.freshness = kind;
  const ago = kind === "fresh" || age === null ? "" : ` Figures are ${duration(age)} old.`;
  const sentence = { fresh: "Connected, updated every second", stale: `Late: ${why}.`, gone: `Disconnected: ${why}.` };
  text("connection", sentence[kind] + ago);
}

/** Of all gateways since each started. */
function showSums(gateways) {
  for (const [id, field] of SUMS) {
    const sum = gateways.reduce((total, gateway) => total + gateway[field], 0);
    text(id, count(sum));
    if (id === "refused" || id === "failed") byId(id).classList.toggle("late", sum > 0);
  }
}

function showPlaces(workers) {
  const offering = workers.filter((worker) => worker.state === "ready");
  const [taken, offered] = ["taken", "capacity"].map((name) => offering.reduce((sum, worker) => sum + worker[name], 0));
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

function showFleet(details, gateways, workers) {
  const known = new Map(details.map((worker) => [worker.name, worker]));
  byId("no-workers").hidden = workers.length > 0;
  text("workers-count", ready(workers));
  text("gateways-count", ready(gateways));
  showWorkers(byId("workers"), workers, (name) => known.get(name) ?? {}, (worker) => drain?.cell(worker, workers));
  showGateways(byId("gateways"), gateways);
}

function ready(processes) {
  const able = processes.filter((process) => process.state === "ready").length;
  return processes.length ? `${count(able)} of ${count(processes.length)} ready` : "";
}

function showStreams(live, whose) {
  const ordered = [...live].sort(ORDERS[byId("order").value]);
  const shown = ordered.slice(0, ROWS_SHOWN);
  byId("no-streams").hidden = live.length > 0;
  const some = live.length > shown.length ? `${count(shown.length)} of ` : "";
  text("live-count", `${some}${count(live.length)} shown${whose ? `, those of ${whose}` : ""}`);
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
