/**
 * One call from start to end: a source of audio, a connection, the transcript and the latency measured on the way.
 *
 * connecting -> live -> finishing -> done, and from each of the first three -> failed. It ends once.
 */

import { Connection } from "./connection.js";
import { Latency, SendClock } from "./latency.js";
import { Problem } from "./problem.js";
import { loudness, pcm16 } from "./samples.js";
import { Transcript } from "./transcript.js";

const FINISH_PATIENCE_MS = 30000;
const SLOW_UPLINK_SECONDS = 3;

export class Call {
  state = "connecting";
  transcript = new Transcript();
  ready = null;
  totals = null;
  #clock = new SendClock();
  #latency = new Latency(this.#clock);
  #source;
  #connection;
  #watcher;
  #patience = null;
  #wishedMs = null;

  /**
   * `source`: a Microphone or a Recording. `query`: the stream's parameters beside those the source decides.
   * `watcher`: `changed(call)`, `said(turn)`, `heard(levels, seconds)`, `warned(text)`, `failed(problem)`.
   */
  constructor(source, query, watcher) {
    this.#source = source;
    this.#watcher = watcher;
    const audio = { encoding: "pcm16", sample_rate: source.sampleRate, channels: source.channels };
    this.#connection = new Connection({ ...query, ...audio }, {
      message: (message, at) => this.#take(message, at),
      closed: (code, reason, opened) => this.#fail(Problem.closed(code, reason, opened)),
    });
  }

  get channels() {
    return this.#source.channels;
  }

  get over() {
    return this.state === "done" || this.state === "failed";
  }

  get latency() {
    return this.#latency.summary();
  }

  get seconds() {
    return this.#clock.seconds;
  }

  /** Change the silence that ends a turn; before the stream is ready it is kept for then. */
  configure(endpointingMs) {
    this.#wishedMs = endpointingMs;
    if (this.state === "live") this.#connection.configure(endpointingMs);
  }

  /** No more audio: asks for the rest of the transcript. A call that never began just ends. */
  async finish() {
    if (this.state === "connecting") return this.#end("done");
    if (this.state !== "live") return undefined;
    this.#enter("finishing");
    await this.#source.stop();
    this.#connection.finish();
    this.#patience = setTimeout(() => this.#fail(new Problem("no_answer",
      "The server did not finish within 30 s.", "What was final is kept below.")), FINISH_PATIENCE_MS);
    return undefined;
  }

  /** The page goes away: let go of the microphone and the place at once. A browser may keep the page, and its socket. */
  abandon() {
    if (!this.over) this.#end("done");
  }

  #take(message, at) {
    switch (message.type) {
      case "ready":
        return this.#begin(message);
      case "partial": {
        this.#latency.partial(message, at);
        const turn = this.transcript.partial(message);
        return turn && this.#watcher.said(turn);
      }
      case "final":
        this.#latency.final(message, at);
        this.#watcher.said(this.transcript.final(message));
        return this.#watcher.changed(this);
      case "warning":
        return this.#watcher.warned(`${message.message} (${message.code})`);
      case "error":
        return this.#fail(Problem.reported(message));
      case "done":
        this.totals = message;
        return this.#end("done");
      default: // speech_started, flushed, ack, pong, and whatever a newer server says
        return undefined;
    }
  }

  #begin(ready) {
    if (this.state !== "connecting") return;
    this.ready = ready;
    this.#enter("live");
    if (this.#wishedMs !== null && this.#wishedMs !== ready.endpointing_ms) this.configure(this.#wishedMs);
    this.#source.start((channels) => this.#send(channels), () => this.finish());
  }

  #send(channels) {
    if (this.over) return;
    const samples = pcm16(channels);
    this.#connection.audio(samples);
    const rate = this.#source.sampleRate;
    this.#clock.sent(this.#clock.seconds + channels[0].length / rate, performance.now());
    if (this.#connection.waiting > SLOW_UPLINK_SECONDS * rate * 2 * channels.length) {
      this.#watcher.warned("The network takes audio more slowly than it is spoken; latency will suffer.");
    }
    this.#watcher.heard(channels.map(loudness), this.seconds);
  }

  #fail(problem) {
    if (this.over) return;
    this.#end("failed");
    this.#watcher.failed(problem);
  }

  #end(state) {
    clearTimeout(this.#patience);
    this.#connection.close();
    this.#source.stop();
    this.#enter(state);
  }

  #enter(state) {
    this.state = state;
    this.#watcher.changed(this);
  }
}
