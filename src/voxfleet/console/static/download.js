/** The transcript as a file: plain text, JSON with word times, or SubRip subtitles. Pure but for `save`. */

import { clock } from "./format.js";

const CUE_SECONDS = 6;
const CUE_CHARACTERS = 80;

export const FORMATS = {
  txt: { type: "text/plain", write: asText },
  json: { type: "application/json", write: asJson },
  srt: { type: "application/x-subrip", write: asSubRip },
};

/** `call`: `{model, language, channels, latency, totals}`; `turns`: finals, in order. */
export function asText(turns, { channels }) {
  return turns.map((turn) => {
    const who = channels > 1 ? `Channel ${turn.channel + 1}: ` : "";
    return `[${clock(turn.start)}] ${who}${turn.text}\n`;
  }).join("");
}

export function asJson(turns, call) {
  const kept = ({ channel, turn, start, end, text, words }) => ({ channel, turn, start, end, text, words });
  return `${JSON.stringify({ ...call, turns: turns.map(kept) }, null, 2)}\n`;
}

export function asSubRip(turns, { channels }) {
  const cues = turns.flatMap(cuesOf).sort((a, b) => a.start - b.start);
  return cues.map(({ start, end, text, channel }, i) => {
    const who = channels > 1 ? `[Channel ${channel + 1}] ` : "";
    return `${i + 1}\n${stamp(start)} --> ${stamp(end)}\n${who}${text}\n`;
  }).join("\n");
}

/** Hands `text` to the reader as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A turn as subtitles of readable length; a turn without word times stays whole. */
function cuesOf({ channel, start, end, text, words }) {
  if (words.length === 0) return [{ channel, start, end, text }];
  const cues = [];
  for (const word of words) {
    const cue = cues.at(-1);
    const fits = cue && word.end - cue.start <= CUE_SECONDS
      && cue.text.length + word.word.length < CUE_CHARACTERS;
    if (fits) {
      cue.text += ` ${word.word}`;
      cue.end = word.end;
    } else {
      cues.push({ channel, start: word.start, end: word.end, text: word.word });
    }
  }
  return cues;
}

function stamp(value) {
  const ms = Math.round(value * 1000);
  const two = (amount) => String(amount).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(ms / 3600000), Math.floor(ms / 60000) % 60, Math.floor(ms / 1000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(rest)},${String(ms % 1000).padStart(3, "0")}`;
}
