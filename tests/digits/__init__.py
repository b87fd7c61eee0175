"""Real speech through the real transducer: strings of spoken digits on a server that serves the digits model."""
