/** The input level: one bar a channel, -60 dBFS to 0. */

const FLOOR = -60;
const LOUD = -3;

/** `levels`: dBFS of each channel. */
export function showLevels(place, levels) {
  while (place.childElementCount > levels.length) place.lastElementChild.remove();
  while (place.childElementCount < levels.length) {
    const bar = document.createElement("div");
    bar.className = "level";
    bar.append(document.createElement("span"));
    place.append(bar);
  }
  levels.forEach((level, channel) => {
    const bar = place.children[channel];
    const share = Math.max(0, Math.min(1, 1 - level / FLOOR));
    bar.firstElementChild.style.setProperty("--share", share.toFixed(3));
    bar.classList.toggle("loud", level > LOUD);
  });
}
