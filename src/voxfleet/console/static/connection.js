/** One WebSocket to v1/stream in the native dialect: audio and wishes out, messages in. Knows nothing of the page. */

export class Connection {
  #socket;
  #opened = false;

  /**
   * `query`: parameters of the stream; those that are null or "" are left out.
   * `listener.message(message, at)`: every message of the server, `at` = performance.now() of its arrival.
   * `listener.closed(code, reason, opened)`: once, at the end, unless `close` was called here.
   */
  constructor(query, listener) {
    const url = new URL("v1/stream", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== "") url.searchParams.set(name, value);
    }
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => { this.#opened = true; };
    this.#socket.onmessage = ({ data }) => {
      const message = parsed(data);
      if (message) listener.message(message, performance.now());
    };
    this.#socket.onclose = ({ code, reason }) => listener.closed(code, reason, this.#opened);
  }

  /** Bytes handed to the browser that have not left it yet. */
  get waiting() {
    return this.#socket.bufferedAmount;
  }

  audio(samples) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(samples);
  }

  configure(endpointingMs) {
    this.#send({ type: "configure", endpointing_ms: endpointingMs });
  }

  finish() {
    this.#send({ type: "finish" });
  }

  close() {
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close(1000);
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

/** A frame as a message, or null: what this page does not understand must not stop it. */
function parsed(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}
