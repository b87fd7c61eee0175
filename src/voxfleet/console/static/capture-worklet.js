/** The audio thread's half of the microphone: gathers render quanta into frames and posts them to the page. */

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.frame = new Float32Array(processorOptions.frameSamples);
    this.filled = 0;
    this.open = true;
    this.port.onmessage = () => {
      this.open = false;
      this.post();
      this.port.postMessage(null); // nothing comes after this
    };
  }

  process([input]) {
    const samples = input[0];
    for (let from = 0; this.open && samples && from < samples.length;) {
      const taken = Math.min(samples.length - from, this.frame.length - this.filled);
      this.frame.set(samples.subarray(from, from + taken), this.filled);
      this.filled += taken;
      from += taken;
      if (this.filled === this.frame.length) this.post();
    }
    return this.open;
  }

  post() {
    if (this.filled > 0) this.port.postMessage(this.frame.slice(0, this.filled));
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
