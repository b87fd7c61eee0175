/**
 * Telling a worker to leave, after asking whether that is meant.
 *
 * The button is there only where the page is used on the gateway's own machine; others need the cluster's secret, which
 * a page must not hold. The server has the last word either way.
 */

import { count } from "./format.js";
import { Problem } from "./problem.js";

const byId = (id) => document.getElementById(id);
const PATIENCE_MS = 5000;

/** Whether this page was opened on the machine the server runs on. */
export function isLocal(host = window.location.hostname) {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

/** The dialogue. `toldTo(name)` is called once a worker was told. */
export class Drain {
  #dialog = byId("drain");
  #worker = null;
  #opener = null;

  constructor(toldTo) {
    byId("drain-cancel").addEventListener("click", () => this.#dialog.close());
    byId("drain-go").addEventListener("click", () => this.#go(toldTo));
    this.#dialog.addEventListener("close", () => this.#opener?.focus());
  }

  /** A cell with the button for one worker. */
  cell(worker, all) {
    return { label: "", className: "action wide", show: (cell) => {
      let button = cell.firstElementChild;
      if (!button) {
        button = document.createElement("button");
        button.type = "button";
        button.textContent = "Drain…";
        button.addEventListener("click", () => this.#ask(button));
        cell.append(button);
      }
      button.disabled = worker.state !== "ready";
      button.setAttribute("aria-label", `Drain ${worker.name}`);
      button.subject = { worker, all };
    } };
  }

  #ask(button) {
    const { worker, all } = button.subject;
    this.#worker = worker.name;
    this.#opener = button;
    byId("drain-title").textContent = `Drain ${worker.name}?`;
    byId("drain-what").textContent = worker.taken > 0
      ? `It takes no new streams, and its ${count(worker.taken)} ${worker.taken === 1 ? "stream moves" : "streams move"} `
        + "to other workers at the end of their turns. Then its process ends."
      : "It takes no new streams, and its process ends.";
    const others = all.filter((one) => one.state === "ready" && one.model === worker.model && one.name !== worker.name);
    byId("drain-alone").hidden = others.length > 0;
    byId("drain-replace").checked = others.length === 0;
    byId("drain-problem").hidden = true;
    byId("drain-go").disabled = false;
    this.#dialog.showModal();
  }

  async #go(toldTo) {
    byId("drain-go").disabled = true;
    byId("drain-problem").hidden = true;
    try {
      await post(this.#worker, { replace: byId("drain-replace").checked });
      this.#dialog.close();
      toldTo(this.#worker);
    } catch (error) {
      byId("drain-code").textContent = error.code ?? "error";
      byId("drain-message").textContent = error.message;
      byId("drain-problem").hidden = false;
      byId("drain-go").disabled = false;
    }
  }
}

async function post(worker, order) {
  let answer;
  try {
    answer = await fetch(new URL(`v1/workers/${encodeURIComponent(worker)}/drain`, document.baseURI), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new Problem("no_answer", "The server does not answer; whether the worker was told is not known.");
  }
  if (answer.ok) return;
  const { error } = await answer.json().catch(() => ({}));
  throw Problem.reported(error ?? { code: `http_${answer.status}`, message: `the server answered HTTP ${answer.status}` });
}
