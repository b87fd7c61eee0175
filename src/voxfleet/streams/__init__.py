"""One live stream as a state machine: facts in, effects out. Pure."""
