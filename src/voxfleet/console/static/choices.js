/** The form of the try-it page: where the audio comes from and how it should be heard. */

import { clock, count } from "./format.js";
import { listModels } from "./models.js";
import { Problem } from "./problem.js";
import { Recording } from "./recording.js";

const LOOK_AGAIN_MS = 3000;
const byId = (id) => document.getElementById(id);

export class Choices {
  /** Called with milliseconds when the silence slider is moved. */
  onSilence = () => {};
  #models = [];
  #recording = null;
  #fileProblem = null;
  #silenceChosen = false;
  #locked = false;

  constructor() {
    document.querySelectorAll("[name=source]").forEach((radio) => radio.addEventListener("change", () => this.#show()));
    byId("model").addEventListener("change", () => this.#showModel());
    byId("file").addEventListener("change", () => this.#open(byId("file").files[0]));
    byId("silence").addEventListener("input", () => this.#moveSilence());
    this.#acceptDrops();
    this.#show();
  }

  /** "microphone" or "file". */
  get source() {
    return document.querySelector("[name=source]:checked").value;
  }

  /** The chosen file, ready to be sent. Throws a Problem if there is none. */
  recording() {
    if (this.#fileProblem) throw this.#fileProblem;
    if (!this.#recording) {
      throw new Problem("no_file", "No file is chosen yet.", "Choose one on this page, or drop it here.");
    }
    return byId("layout").value === "mixed" ? this.#recording.mixed() : this.#recording;
  }

  /** The stream's parameters; "" and null mean: the server decides. */
  query() {
    return {
      language: byId("language").value.trim(),
      model: byId("model").value,
      grammar: byId("grammar").value,
      endpointing_ms: this.#silenceChosen ? byId("silence").value : null,
    };
  }

  /** Choices that a running call can't change are greyed out. */
  lock(locked) {
    this.#locked = locked;
    for (const choice of document.querySelectorAll("[data-fixed]")) choice.disabled = locked;
  }

  /** The server's own setting, shown until the reader moves the slider. */
  showServerSilence(milliseconds) {
    if (this.#silenceChosen) return;
    byId("silence").value = String(milliseconds);
    byId("silence-value").textContent = `${milliseconds} ms (default)`;
  }

  /** Fills the list of models. Without it the server's default still works. */
  async listModels() {
    try {
      this.#models = await listModels();
    } catch (error) {
      this.#note(`The list of models could not be read (${error.message}). The server’s default can still be tried.`);
      return;
    }
    if (this.#models.length === 0) {
      this.#note("No worker is ready yet, so there is no model to choose. Looking again every few seconds.");
      setTimeout(() => this.listModels(), LOOK_AGAIN_MS);
      return;
    }
    byId("model").replaceChildren(...this.#models.map(({ id }) => new Option(id, id)));
    this.#showModel();
  }

  #showModel() {
    const model = this.#models.find(({ id }) => id === byId("model").value);
    if (!model) return;
    const languages = model.languages.filter((tag) => tag !== "*");
    byId("languages").replaceChildren(...languages.map((tag) => new Option(tag)));
    if (languages.length > 0 && !languages.includes(byId("language").value)) byId("language").value = languages[0];
    this.#note(model.note);
  }

  #note(text) {
    byId("model-note").hidden = !text;
    byId("model-note").textContent = text;
  }

  #show() {
    byId("file-choice").hidden = this.source !== "file";
  }

  #moveSilence() {
    const milliseconds = Number(byId("silence").value);
    this.#silenceChosen = true;
    byId("silence-value").textContent = `${milliseconds} ms`;
    this.onSilence(milliseconds);
  }

  async #open(file) {
    if (!file) return;
    this.#recording = null;
    this.#fileProblem = null;
    byId("file-name").textContent = file.name;
    byId("file-facts").textContent = "Decoding…";
    byId("layout-choice").hidden = true;
    try {
      this.#showRecording(await Recording.open(file));
    } catch (error) {
      this.#fileProblem = error instanceof Problem ? error : new Problem("undecodable_file", String(error.message));
      byId("file-facts").textContent = `${this.#fileProblem.message} ${this.#fileProblem.hint}`;
    }
  }

  #showRecording(recording) {
    this.#recording = recording;
    const more = recording.found > 2 ? `, the first 2 of ${count(recording.found)} channels` : "";
    const kind = recording.channels === 2 ? "two channels" : "one channel";
    byId("file-facts").textContent = `${clock(recording.seconds)}, ${more ? more.slice(2) : kind}`;
    byId("layout-choice").hidden = recording.channels === 1;
    byId("layout").value = recording.sameTwice ? "mixed" : "separate";
  }

  #acceptDrops() {
    // A file dropped during a call is refused here; the browser would leave the page to show it.
    const holdsFile = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return false;
      event.preventDefault();
      return !this.#locked;
    };
    document.addEventListener("dragover", (event) => {
      if (!holdsFile(event)) return;
      document.querySelector("[name=source][value=file]").checked = true;
      this.#show();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      document.body.classList.remove("dropping");
      if (!holdsFile(event)) return;
      this.#open(event.dataTransfer.files[0]);
    });
  }
}
