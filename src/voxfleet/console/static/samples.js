/** Samples: floats of the browser into interleaved pcm16 of the wire, and how loud they are. */

/** Channels of equal length (Float32Array, -1..1) as interleaved signed 16-bit samples. */
export function pcm16(channels) {
  const width = channels.length;
  const out = new Int16Array(channels[0].length * width);
  channels.forEach((samples, channel) => {
    for (let i = 0; i < samples.length; i += 1) {
      const sample = Math.max(-1, Math.min(1, samples[i]));
      out[i * width + channel] = Math.round(sample * 32767);
    }
  });
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] === 0) swapBytes(out); // the wire is little-endian
  return out;
}

/** Loudness of one channel in dBFS, -90 for silence. */
export function loudness(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i += 1) sum += samples[i] * samples[i];
  return Math.max(-90, 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12));
}

function swapBytes(samples) {
  const view = new DataView(samples.buffer);
  for (let i = 0; i < samples.length; i += 1) view.setInt16(i * 2, samples[i], true);
}
