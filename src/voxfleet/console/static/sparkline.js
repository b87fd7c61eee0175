/** A small line of the last two minutes, kept in the page and drawn as inline SVG. */

const SECONDS = 120;
const WIDTH = 240;
const HEIGHT = 44;
const SVG = "http://www.w3.org/2000/svg";

export class Sparkline {
  #points = [];
  #unit;
  #budget;
  #svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #fill = drawn("path", { class: "fill" });
  #trace = drawn("path", { class: "trace" });
  #limit = drawn("line", { class: "budget", x1: 0, x2: WIDTH });
  #span = document.createElement("span");
  #peak = document.createElement("span");

  /** `name`: what it shows, for screen readers. `unit(value)`: a value as text. `budget`: a line to stay below. */
  constructor(figure, name, unit, budget = null) {
    this.name = name;
    this.#unit = unit;
    this.#budget = budget;
    this.#svg.append(this.#fill, drawn("line", { class: "floor", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
    if (budget !== null) this.#svg.append(this.#limit);
    this.#svg.append(this.#trace);
    const caption = document.createElement("figcaption");
    caption.append(this.#span, this.#peak);
    figure.replaceChildren(this.#svg, caption);
  }

  /** A value (null = nothing known) at `now`, seconds of any steady clock. */
  add(value, now) {
    this.#points.push({ value, now });
    while (this.#points[0].now < now - SECONDS) this.#points.shift();
    this.#draw(now);
  }

  #draw(now) {
    const values = this.#points.map((point) => point.value).filter((value) => value !== null);
    const peak = Math.max(0, ...values);
    const top = Math.max(peak * 1.1, (this.#budget ?? 0) * 1.15, this.#budget === null ? 1 : 0);
    const x = (moment) => (WIDTH * (1 - (now - moment) / SECONDS)).toFixed(1);
    const y = (value) => (HEIGHT * (1 - value / top)).toFixed(1);
    const runs = unbroken(this.#points).map((run) => run.map((point) => `${x(point.now)} ${y(point.value)}`));
    this.#trace.setAttribute("d", runs.map((run) => `M${run.join("L")}`).join(""));
    this.#fill.setAttribute("d", runs.map((run) => {
      const [from, until] = [run[0], run.at(-1)].map((point) => point.split(" ")[0]);
      return `M${from} ${HEIGHT}L${run.join("L")}L${until} ${HEIGHT}Z`;
    }).join(""));
    if (this.#budget !== null) for (const end of ["y1", "y2"]) this.#limit.setAttribute(end, y(this.#budget));
    const kept = Math.round(now - this.#points[0].now);
    this.#span.textContent = kept >= SECONDS - 2 ? "last 2 min" : `last ${kept} s`;
    this.#peak.textContent = values.length ? `peak ${this.#unit(peak)}` : "nothing measured";
    this.#svg.setAttribute("aria-label", `${this.name}, ${this.#span.textContent}: ${this.#peak.textContent}`);
  }
}

/** Points in runs without a gap: where nothing was known, the line breaks. */
function unbroken(points) {
  const runs = [];
  let last = null;
  for (const point of points) {
    if (point.value !== null) {
      if (last === null || last.value === null || point.now - last.now > 5) runs.push([]);
      runs.at(-1).push(point);
    }
    last = point;
  }
  return runs;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
