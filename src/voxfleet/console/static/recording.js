/** A file as a source of audio: decoded by the browser, delivered in frames of 100 ms at the pace of a live call. */

import { Problem } from "./problem.js";

const SAMPLE_RATE = 16000; // what recognition works at; more would only cost bandwidth
const FRAME = SAMPLE_RATE / 10;

export class Recording {
  sampleRate = SAMPLE_RATE;
  #channels;
  #worker = null;

  /** Decodes a File. Throws a Problem if the browser can't. Only the first two channels are kept. */
  static async open(file) {
    const context = new OfflineAudioContext({ numberOfChannels: 1, length: 1, sampleRate: SAMPLE_RATE });
    let decoded;
    try {
      decoded = await context.decodeAudioData(await file.arrayBuffer());
    } catch {
      throw new Problem("undecodable_file", `This browser can't decode “${file.name}”.`,
        "WAV, MP3, FLAC, Ogg and M4A usually work. The server itself reads more: send the file with "
        + "encoding=container from a program.");
    }
    const kept = Math.min(2, decoded.numberOfChannels);
    return new Recording(Array.from({ length: kept }, (_, channel) => decoded.getChannelData(channel)),
      decoded.numberOfChannels);
  }

  constructor(channels, found = channels.length) {
    this.#channels = channels;
    this.found = found;
  }

  get channels() {
    return this.#channels.length;
  }

  get seconds() {
    return this.#channels[0].length / SAMPLE_RATE;
  }

  /** Whether both channels hold the same sound, as in a mono recording saved as stereo. */
  get sameTwice() {
    const [left, right] = this.#channels;
    if (!right) return false;
    const step = Math.max(1, Math.floor(left.length / 50000));
    for (let i = 0; i < left.length; i += step) if (Math.abs(left[i] - right[i]) > 1e-4) return false;
    return true;
  }

  /** The same recording with its channels mixed into one. */
  mixed() {
    if (this.channels === 1) return this;
    const [left, right] = this.#channels;
    return new Recording([left.map((sample, i) => (sample + right[i]) / 2)], this.found);
  }

  /** Delivers `deliver(channels)` at real-time pace, then calls `ended`. */
  start(deliver, ended) {
    const begun = performance.now();
    const total = this.#channels[0].length;
    let from = 0;
    const tick = () => {
      const due = ((performance.now() - begun) / 1000) * SAMPLE_RATE;
      for (; from < total && Math.min(from + FRAME, total) <= due; from += FRAME) {
        const until = Math.min(from + FRAME, total);
        const [first, last] = [from, until];
        deliver(this.#channels.map((samples) => samples.subarray(first, last)));
      }
      if (from >= total && this.#worker) {
        this.stop();
        ended();
      }
    };
    this.#worker = new Worker(new URL("pacer-worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = tick;
  }

  async stop() {
    this.#worker?.terminate();
    this.#worker = null;
  }
}
