/** The server's status and its fleet, asked once a second; says honestly how old the last answer is. */

const EVERY_MS = 1000;
const PATIENCE_MS = 2500;
const STALE_MS = 3500;

/**
 * Asks until `stop()` of the returned object is called.
 * `watcher.status(status, fleet)`: a fresh answer.
 * `watcher.freshness(kind, ageSeconds, why)`: after every try; kind is "fresh", "stale" (the last answer is getting
 * old) or "gone" (the server can't be asked); the age is null before the first answer.
 */
export function follow(watcher) {
  let answered = null;
  let stopped = false;
  let abort = null;

  async function ask() {
    const begun = performance.now();
    abort = new AbortController();
    const patience = setTimeout(() => abort.abort(), PATIENCE_MS);
    let why = "";
    try {
      const status = await read("v1/status", abort.signal);
      const fleet = await read("v1/fleet", abort.signal); // one after the other: the same connection, the same gateway
      answered = performance.now();
      if (!stopped) watcher.status(status, fleet);
    } catch (error) {
      why = error.name === "AbortError" ? `no answer within ${PATIENCE_MS / 1000} s` : error.message;
    } finally {
      clearTimeout(patience);
    }
    if (stopped) return;
    const age = answered === null ? null : performance.now() - answered;
    if (!why) watcher.freshness("fresh", 0, "");
    else watcher.freshness(age !== null && age < STALE_MS ? "stale" : "gone", age === null ? null : age / 1000, why);
    setTimeout(ask, Math.max(100, EVERY_MS - (performance.now() - begun)));
  }

  ask();
  return {
    stop() {
      stopped = true;
      abort?.abort();
    },
  };
}

async function read(path, signal) {
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer");
  }
  if (!answer.ok) throw new Error(`the server answered HTTP ${answer.status}`);
  return answer.json();
}
