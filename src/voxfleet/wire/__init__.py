"""Dialects as pure codecs: frames to commands, events to frames. No sockets, no clocks."""
