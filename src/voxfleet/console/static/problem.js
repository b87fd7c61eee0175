/** What went wrong, in a form a person can act on: a code, a sentence, and what to do about it. */

export class Problem extends Error {
  constructor(code, message, hint = "") {
    super(message);
    this.code = code;
    this.hint = hint;
  }

  /** The server's `error` message. */
  static reported({ code, message, retryable, retry_after: retryAfter }) {
    let hint = "Trying again will not help until something in the request changes.";
    if (retryable) hint = retryAfter > 0 ? `Try again in ${Math.ceil(retryAfter)} s.` : "Try again in a moment.";
    return new Problem(String(code ?? "error"), sentence(String(message ?? "The server gave no reason.")), hint);
  }

  /** A connection that closed without saying why. `opened`: whether the server had answered before. */
  static closed(code, reason, opened) {
    const why = reason ? ` It said: ${reason}` : "";
    const [message, hint] = opened
      ? ["The connection to the server was lost.", "What was final is kept below. Start again to go on."]
      : ["The server did not take the connection.", "Check that it runs and is reachable, then start again."];
    return new Problem(`closed_${code}`, message + why, hint);
  }
}

function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
