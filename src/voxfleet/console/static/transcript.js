/** What was said so far: the turns of all channels in the order they began. Finals never change. */

export class Transcript {
  #turns = new Map();

  /** Takes a partial; returns its turn, or null if the turn is already final. */
  partial({ channel, turn, start, end, stable, unstable }) {
    const known = this.#turns.get(`${channel} ${turn}`);
    if (known?.final) return null;
    return this.#put({ channel, turn, start, end, stable, unstable, text: "", words: [], final: false });
  }

  /** Takes a final; returns its turn. */
  final({ channel, turn, start, end, text, words }) {
    return this.#put({ channel, turn, start, end, stable: text, unstable: "", text, words: words ?? [], final: true });
  }

  /** All turns, by their start. */
  get turns() {
    return [...this.#turns.values()].sort((a, b) => a.start - b.start || a.channel - b.channel);
  }

  /** The turns that are final and hold words. */
  get finals() {
    return this.turns.filter((turn) => turn.final && turn.text);
  }

  #put(turn) {
    this.#turns.set(`${turn.channel} ${turn.turn}`, turn);
    return turn;
  }
}
