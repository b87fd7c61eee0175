// The word view of an accuracy report: which recordings are listed, how their words are drawn, and the one player.
// Text of transcripts becomes text nodes only. Rows are made as far as somebody looks, so thousands cost nothing.
"use strict";

(() => {
  const list = document.getElementById("items");
  if (!list) return;

  const STEP = 40;
  const data = (name) => JSON.parse(document.getElementById(name).textContent);
  const part = (name) => document.getElementById(name);
  const modes = data("words-data");
  const clips = data("clips-data");
  const player = part("player");
  const [mode, slice, search, wrong, shown, more] = ["mode", "slice", "search", "wrong", "shown", "more"].map(part);
  let chosen = [];
  let made = 0;
  let playing = null;

  function element(name, look, ...children) {
    const made = document.createElement(name);
    if (look) made.className = look;
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  function word(column) {
    if (typeof column === "string") return document.createTextNode(column);
    const [op, first, second] = column;
    if (op === "d") return element("del", "w d", first);
    if (op === "i") return element("ins", "w i", first);
    const said = element("span", "said", first);
    const heard = element("span", "heard", second);
    said.title = "said";
    heard.title = "heard";
    return element("span", "w s", said, hidden(" heard as "), heard);
  }

  function hidden(text) {
    const made = element("span", "", text);
    made.hidden = true;
    return made;
  }

  function text(item) {
    const box = element("div", "text");
    box.dir = "auto";
    if (item.words) {
      item.words.forEach((column, place) => box.append(place ? " " : "", word(column)));
    } else {
      box.classList.add("plain");
      box.append(item.failed ? "" : item.heard || "(nothing was recognised)");
    }
    return box;
  }

  function written(item) {
    if (!item.said && !item.heard) return null;
    const line = (name, what) => {
      const said = element("span", "", what || "–");
      said.dir = "auto";
      return element("p", "", element("b", "", name), " ", said);
    };
    const summary = element("summary", "", "as written");
    return element("details", "written", summary, line("said", item.said), line("heard", item.heard));
  }

  function rate(item) {
    if (!item.counts) return "not scored";
    const [hits, substituted, left, added] = item.counts;
    const said = hits + substituted + left;
    const percent = (100 * (substituted + left + added)) / said;
    const share = said ? `WER ${percent.toFixed(1)} % of ${said}` : "nothing was said";
    return `${share}: ${substituted} substituted, ${left} left out, ${added} added`;
  }

  function about(item) {
    const facts = [`${(item.seconds || 0).toFixed(1)} s`, item.kind, ...Object.values(item.columns || {})];
    if (item.final !== undefined) facts.push(`final after ${item.final.toFixed(2)} s`);
    const flag = item.failed ? "failed: see Problems" : item.runaway ? `runaway: ${item.runaway}` : null;
    return element(
      "div", "who",
      element("b", "", item.id),
      element("span", "", item.failed ? "" : rate(item)), element("br"),
      element("span", "", facts.filter(Boolean).join(" · ")),
      flag && element("div", "flag", flag),
    );
  }

  function row(item) {
    const first = element("div", "");
    if (Object.hasOwn(clips, item.id)) {
      const button = element("button", "play");
      button.type = "button";
      button.ariaLabel = `Play ${item.id}`;
      button.ariaPressed = "false";
      button.addEventListener("click", () => play(button, item.id));
      if (playing && playing.id === item.id) mark(button, item.id);
      first.append(button);
    }
    return element("li", "", first, about(item), text(item), written(item));
  }

  function mark(button, id) {
    playing = { button, id };
    button.ariaPressed = String(!player.paused);
  }

  function play(button, id) {
    if (playing && playing.id === id && !player.paused) {
      player.pause();
      return;
    }
    const same = playing && playing.id === id;
    if (playing) playing.button.ariaPressed = "false";
    playing = { button, id };
    if (!same) player.src = clips[id];
    player.play().catch(() => { button.ariaPressed = "false"; });
  }

  for (const [event, pressed] of [["play", "true"], ["pause", "false"], ["ended", "false"]]) {
    player.addEventListener(event, () => { if (playing) playing.button.ariaPressed = pressed; });
  }

  function haystack(item) {
    item.hay ??= [item.id, item.said, item.heard, ...(item.words || []).flat()].join(" ").toLocaleLowerCase();
    return item.hay;
  }

  function choose() {
    const sought = search.value.trim().toLocaleLowerCase();
    const [by, value] = slice.value.split("\n");
    const all = modes[Number(mode.value) || 0]?.items ?? [];
    chosen = all.filter((item) =>
      (!wrong.checked || item.errors || item.failed || item.runaway) &&
      (!by || (item.columns || {})[by] === value) &&
      (!sought || haystack(item).includes(sought)));
    chosen.sort((a, b) => (b.errors || 0) - (a.errors || 0) || (a.id < b.id ? -1 : 1));
    list.replaceChildren();
    made = 0;
    grow();
  }

  function grow() {
    const next = chosen.slice(made, made + STEP);
    list.append(...next.map(row));
    made += next.length;
    more.hidden = made >= chosen.length;
    const count = `${chosen.length} of ${(modes[Number(mode.value) || 0]?.items ?? []).length} recordings`;
    shown.textContent = more.hidden ? count : `${count}, ${made} listed`;
  }

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, 120);
  });
  for (const control of [mode, slice, wrong]) control.addEventListener("change", choose);
  part("choose").addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const before = made;
    grow();
    list.children[before]?.querySelector("button, summary")?.focus();
  });
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting) && !more.hidden) grow();
  }, { rootMargin: "400px" }).observe(more);
  choose();
})();
