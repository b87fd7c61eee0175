/** The microphone as a source of audio: one channel, frames of about 100 ms, at the device's own sample rate. */

import { Problem } from "./problem.js";

const FRAME_SECONDS = 0.1;
const BACKLOG_FRAMES = 50;
const HIGHEST_RATE = 48000; // the protocol's

export class Microphone {
  channels = 1;
  #media;
  #context;
  #capture;
  #backlog = [];
  #deliver = null;

  /** Asks for the microphone and starts to capture. What is said before `start` is kept (5 s at most). */
  static async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Problem("no_microphone", "The browser offers microphones only on HTTPS pages and on localhost.",
        "Open this page through HTTPS or localhost, or choose a file instead.");
    }
    const microphone = new Microphone();
    try {
      await microphone.#open();
    } catch (error) {
      await microphone.stop();
      throw explained(error);
    }
    return microphone;
  }

  get sampleRate() {
    return this.#context.sampleRate;
  }

  /** From now on `deliver(channels)` is called with every frame. `ended` is called if the device goes away. */
  start(deliver, ended) {
    this.#deliver = deliver;
    this.#backlog.splice(0).forEach((samples) => deliver([samples]));
    for (const track of this.#media.getAudioTracks()) track.onended = ended;
  }

  /** Delivers what was captured so far and lets the microphone go. */
  async stop() {
    if (this.#capture) await this.#flush();
    this.#deliver = null;
    for (const track of this.#media?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    if (this.#context && this.#context.state !== "closed") await this.#context.close();
  }

  async #open() {
    this.#media = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
    });
    this.#context = new AudioContext({ latencyHint: "interactive" });
    if (this.#context.sampleRate > HIGHEST_RATE) {
      await this.#context.close();
      this.#context = new AudioContext({ latencyHint: "interactive", sampleRate: HIGHEST_RATE });
    }
    await this.#context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
    this.#capture = new AudioWorkletNode(this.#context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { frameSamples: Math.round(this.#context.sampleRate * FRAME_SECONDS) },
    });
    this.#capture.port.onmessage = ({ data }) => data && this.#captured(data);
    this.#context.createMediaStreamSource(this.#media).connect(this.#capture);
    await this.#context.resume();
  }

  #captured(samples) {
    if (this.#deliver) {
      this.#deliver([samples]);
    } else {
      this.#backlog.push(samples);
      if (this.#backlog.length > BACKLOG_FRAMES) this.#backlog.shift();
    }
  }

  #flush() {
    const capture = this.#capture;
    this.#capture = null;
    return new Promise((resolve) => {
      const giveUp = setTimeout(resolve, 500); // a suspended audio thread never answers
      capture.port.onmessage = ({ data }) => {
        if (data) {
          this.#captured(data);
        } else {
          clearTimeout(giveUp);
          resolve();
        }
      };
      capture.port.postMessage("stop");
    });
  }
}

function explained(error) {
  if (error instanceof Problem) return error;
  const known = {
    NotAllowedError: ["microphone_denied", "The microphone was not allowed.",
      "Allow it for this site in the browser's address bar, then start again."],
    NotFoundError: ["no_microphone", "This computer has no microphone.", "Plug one in, or choose a file instead."],
    NotReadableError: ["microphone_busy", "The microphone is in use or did not start.",
      "Close the other program that uses it, then start again."],
  }[error.name];
  return known ? new Problem(...known) : new Problem("microphone_failed", `The microphone failed: ${error.message}`);
}
