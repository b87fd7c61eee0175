"""Many live callers at once: when they come, how they speak, what they are shown, and whether the measurement holds."""
