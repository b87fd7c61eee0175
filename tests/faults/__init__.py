"""Faults that must be survived: real processes are killed, stopped, cut off and flooded, and every transcript is compared."""
