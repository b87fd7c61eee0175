/** A clock that keeps ticking: timers of a page in the background are slowed down, those of a worker are not. */

setInterval(() => postMessage(null), 50);
