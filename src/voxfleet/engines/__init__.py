"""Audio to words: every recogniser behind one port, shaped like a batch."""
