/** How numbers are written: one place, so that both pages say the same thing the same way. */

export const NONE = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** 0.4213 -> "0.42 s"; null -> "–". */
export function seconds(value, digits = 2) {
  return isNumber(value) ? `${value.toFixed(digits)} s` : NONE;
}

/** 0.0213 -> "21.3 ms": for steps of an engine, which are far below a second. */
export function milliseconds(value) {
  if (!isNumber(value)) return NONE;
  const ms = value * 1000;
  return `${ms >= 100 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

/** 75.3 -> "1:15.3": a place in the stream. */
export function clock(value) {
  if (!isNumber(value)) return NONE;
  const tenths = Math.round(value * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/** 93784 -> "1 d 2 h": the two largest units. */
export function duration(value) {
  if (!isNumber(value)) return NONE;
  const total = Math.max(0, Math.floor(value));
  const parts = [[Math.floor(total / 86400), "d"], [Math.floor(total / 3600) % 24, "h"],
    [Math.floor(total / 60) % 60, "min"], [total % 60, "s"]];
  const first = parts.findIndex(([amount]) => amount > 0);
  const start = first < 0 ? 3 : first;
  return parts.slice(start, start + 2).map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

/** 12345 -> "12,345": as English as the rest of the page. */
export function count(value) {
  return isNumber(value) ? value.toLocaleString("en") : NONE;
}
