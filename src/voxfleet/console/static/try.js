/** The try-it page: what the reader chose becomes a call, what the call says becomes the page. */

import { Call } from "./call.js";
import { Choices } from "./choices.js";
import { FORMATS, save } from "./download.js";
import { clock, count, seconds } from "./format.js";
import { showLevels } from "./levels.js";
import { Microphone } from "./microphone.js";
import { Problem } from "./problem.js";
import { TranscriptView } from "./transcript-view.js";

const BUDGET_SECONDS = 2;
const STATES = {
  idle: "Ready", opening: "Waiting for the microphone…", connecting: "Connecting…", live: "Listening",
  finishing: "Finishing…", done: "Finished", failed: "Stopped",
};

const byId = (id) => document.getElementById(id);
const choices = new Choices();
const view = new TranscriptView(byId("transcript"), byId("read-out"));
let call = null;
let opening = false;

byId("choices").addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
byId("stop").addEventListener("click", () => call?.finish()); // once is enough, and more does no harm
window.addEventListener("pagehide", () => call?.abandon());
choices.onSilence = (milliseconds) => call?.configure(milliseconds);
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => download(button.dataset.format));
}
choices.listModels();

async function start() {
  if (opening || (call && !call.over)) return;
  opening = true;
  clear();
  showState("opening");
  try {
    const source = choices.source === "microphone" ? await Microphone.open() : choices.recording();
    view.clear(source.channels);
    showLevels(byId("levels"), new Array(source.channels).fill(-90));
    call = new Call(source, choices.query(), { changed, said, heard, warned, failed });
    changed(call);
    byId("stop").focus();
    if (window.matchMedia("(max-width: 59.99rem)").matches) document.querySelector(".live").scrollIntoView();
  } catch (error) {
    showState("failed");
    failed(error instanceof Problem ? error : new Problem("page_failed", String(error.message ?? error)));
  } finally {
    opening = false;
  }
}

function clear() {
  call = null;
  byId("problem").hidden = true;
  byId("warning").hidden = true;
  byId("empty").hidden = true;
  byId("stream-time").textContent = clock(0);
  view.clear(1);
  showLatency({ firstPartial: {}, emission: {}, final: {} });
  for (const button of document.querySelectorAll("[data-format]")) button.disabled = true;
}

// ---- what a call tells its watcher ----

function changed(told) {
  if (call && told !== call) return;
  showState(told.state);
  showLatency(told.latency);
  const nothing = told.transcript.finals.length === 0;
  for (const button of document.querySelectorAll("[data-format]")) button.disabled = nothing;
  if (told.ready) {
    const { model, language, sample_rate: rate, chunk_ms: chunk, endpointing_ms: silence, session } = told.ready;
    byId("session").textContent =
      `${model} · ${language} · ${count(rate)} Hz · works on ${chunk} ms at a time · session ${session}`;
    choices.showServerSilence(silence);
  }
  if (told.over) {
    view.end();
    showLevels(byId("levels"), new Array(told.channels).fill(-90));
  }
  if (told.state === "done") showTotals(told);
}

function said(turn) {
  view.show(turn);
}

function heard(levels, streamSeconds) {
  showLevels(byId("levels"), levels);
  byId("stream-time").textContent = clock(streamSeconds);
}

function warned(text) {
  byId("warning").hidden = false;
  byId("warning").textContent = text;
}

function failed(problem) {
  byId("problem").hidden = false;
  byId("problem-message").textContent = problem.message;
  byId("problem-code").textContent = problem.code;
  byId("problem-hint").textContent = problem.hint;
}

// ---- the page ----

function showState(state) {
  const [startButton, stopButton] = [byId("start"), byId("stop")];
  const busy = !["idle", "done", "failed"].includes(state);
  const hadFocus = document.activeElement === startButton || document.activeElement === stopButton;
  byId("status").dataset.state = state;
  byId("status").textContent = STATES[state];
  startButton.hidden = busy && state !== "opening";
  stopButton.hidden = !startButton.hidden;
  startButton.ariaDisabled = String(busy); // not `disabled`: that would drop the keyboard's focus
  stopButton.ariaDisabled = String(state === "finishing");
  if (hadFocus && !busy) startButton.focus();
  choices.lock(busy);
}

function showLatency({ firstPartial, emission, final }) {
  for (const [name, figure] of [["first", firstPartial], ["emission", emission], ["final", final]]) {
    for (const rank of ["p50", "p95"]) {
      const cell = byId(`${name}-${rank}`);
      cell.textContent = seconds(figure[rank]);
      cell.classList.toggle("late", figure[rank] > BUDGET_SECONDS);
    }
  }
}

function showTotals({ totals, transcript }) {
  if (!totals) {
    byId("empty").hidden = transcript.turns.length > 0;
    return;
  }
  const p95 = totals.final_latency_p95;
  byId("status").textContent =
    `Finished: ${clock(totals.audio)} of audio, ${count(totals.turns)} turns, ${count(totals.words)} words`;
  if (p95 != null) byId("session").textContent += ` · the server measured final p95 ${seconds(p95)}`;
  if (transcript.turns.length === 0) warned("No speech was heard. Check the microphone and its level.");
}

function download(format) {
  const { transcript, ready, channels, latency, totals } = call;
  const facts = { model: ready.model, language: ready.language, session: ready.session, channels, latency, totals };
  const { type, write } = FORMATS[format];
  save(`transcript-${ready.session}.${format}`, type, write(transcript.finals, facts));
}
