/**
 * Latency as this browser sees it: from the moment a sample was sent to the moment a message about it arrived.
 *
 * emission       per word: its last sample sent -> the first message that held the word arrived
 * first partial  the same for the first word of a turn
 * final          per turn: the last sample of its last word sent -> its final arrived
 *
 * Word times come with finals, so a turn is counted when it is final. Where an engine gives no word times, the ends
 * of the partials and of the final stand in for them.
 */

/** When each sample was sent. */
export class SendClock {
  #ends = [];
  #moments = [];

  /** Audio up to `until` (seconds of stream time) was sent at `at` (performance.now()). */
  sent(until, at) {
    this.#ends.push(until);
    this.#moments.push(at);
  }

  get seconds() {
    return this.#ends.at(-1) ?? 0;
  }

  /** When the sample at `second` was sent; null if it was not. */
  moment(second) {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle] < second - 1e-6) low = middle + 1;
      else high = middle;
    }
    return this.#moments[low] ?? null;
  }
}

export class Latency {
  #clock;
  #turns = new Map();
  #figures = { firstPartial: [], emission: [], final: [] };

  constructor(clock) {
    this.#clock = clock;
  }

  partial(message, at) {
    const words = split(`${message.stable} ${message.unstable}`);
    if (words.length === 0) return;
    const turn = this.#turn(message);
    turn.first ??= { at, end: message.end };
    words.forEach((word, i) => {
      const key = `${i} ${word}`;
      if (!turn.seen.has(key)) turn.seen.set(key, at);
    });
  }

  final(message, at) {
    const turn = this.#turn(message);
    this.#turns.delete(`${message.channel} ${message.turn}`);
    if (!message.text) return;
    const timed = (message.words ?? []).filter((word) => word.end > word.start);
    this.#figures.final.push(this.#since(timed.at(-1)?.end ?? message.end, at));
    timed.forEach((word, i) => {
      const shown = Math.min(firstSeen(turn.seen, i, word.word), at);
      const latency = this.#since(word.end, shown);
      this.#figures.emission.push(latency);
      if (i === 0) this.#figures.firstPartial.push(latency);
    });
    if (timed.length === 0 && turn.first) this.#figures.firstPartial.push(this.#since(turn.first.end, turn.first.at));
  }

  /** `{firstPartial, emission, final}`, each `{p50, p95, count}` in seconds; null where nothing was measured. */
  summary() {
    return Object.fromEntries(Object.entries(this.#figures).map(([name, values]) => [name, {
      p50: percentile(values, 0.5), p95: percentile(values, 0.95), count: values.length,
    }]));
  }

  #turn({ channel, turn }) {
    const key = `${channel} ${turn}`;
    if (!this.#turns.has(key)) this.#turns.set(key, { first: null, seen: new Map() });
    return this.#turns.get(key);
  }

  /** A word shown before its last sample was sent counts as 0: engines place word ends a little late. */
  #since(second, at) {
    const sent = this.#clock.moment(second) ?? at;
    return Math.max(0, (at - sent) / 1000);
  }
}

/** Nearest-rank percentile; null of nothing. */
export function percentile(values, share) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** Partials may still hold a word more or less before this one, so its neighbours' positions count too. */
function firstSeen(seen, position, word) {
  const [plain] = split(word);
  const moments = [-2, -1, 0, 1, 2].map((shift) => seen.get(`${position + shift} ${plain}`) ?? Infinity);
  return Math.min(...moments);
}

function split(text) {
  return text.toLowerCase().split(/\s+/).map((word) => word.replace(/[^\p{L}\p{N}']/gu, "")).filter(Boolean);
}
