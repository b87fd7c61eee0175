/** The transcript on the page: one line a turn, stable words solid, unstable ones lighter, finals read out once. */

import { clock } from "./format.js";

const READ_OUT_KEPT = 20;

export class TranscriptView {
  #list;
  #readOut;
  #lines = new Map();
  #channels = 1;

  /** `list`: the visible <ol>. `readOut`: a hidden live region; partials would drown a screen reader. */
  constructor(list, readOut) {
    this.#list = list;
    this.#readOut = readOut;
  }

  clear(channels) {
    this.#channels = channels;
    this.#lines.clear();
    this.#list.replaceChildren();
    this.#readOut.replaceChildren();
    this.#list.dataset.channels = String(channels);
  }

  show(turn) {
    const following = this.#atEnd();
    const line = this.#line(turn);
    line.item.dataset.state = turn.final ? "final" : "partial";
    line.time.textContent = turn.final ? `${clock(turn.start)} – ${clock(turn.end)}` : clock(turn.start);
    const silent = turn.final && !turn.text;
    line.item.classList.toggle("silent", silent);
    line.stable.textContent = silent ? "speech, but no words recognised" : turn.stable;
    line.unstable.textContent = turn.unstable ? `${turn.stable ? " " : ""}${turn.unstable}` : "";
    if (turn.final && turn.text) this.#read(turn);
    if (following) this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** The call ended: what is still a partial will never be final. */
  end() {
    for (const { item } of this.#lines.values()) {
      if (item.dataset.state === "partial") item.dataset.state = "unfinished";
    }
  }

  #line(turn) {
    const key = `${turn.channel} ${turn.turn}`;
    const known = this.#lines.get(key);
    if (known) return known;
    const line = { start: turn.start, item: document.createElement("li"), time: element("span", "time"),
      stable: element("span", "stable"), unstable: element("span", "unstable") };
    line.item.className = "turn";
    line.item.dataset.channel = String(turn.channel);
    const head = element("p", "head");
    if (this.#channels > 1) {
      const label = element("span", "channel");
      label.textContent = `Channel ${turn.channel + 1}`;
      head.append(label);
    }
    head.append(line.time);
    const words = element("p", "words");
    words.append(line.stable, line.unstable);
    line.item.append(head, words);
    const later = [...this.#lines.values()].filter((other) => other.start > turn.start);
    const next = later.sort((a, b) => a.start - b.start)[0];
    this.#list.insertBefore(line.item, next?.item ?? null);
    this.#lines.set(key, line);
    return line;
  }

  #read(turn) {
    const line = element("p");
    line.textContent = this.#channels > 1 ? `Channel ${turn.channel + 1}: ${turn.text}` : turn.text;
    this.#readOut.append(line);
    while (this.#readOut.childElementCount > READ_OUT_KEPT) this.#readOut.firstElementChild.remove();
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 40;
  }
}

function element(name, className = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  return made;
}
