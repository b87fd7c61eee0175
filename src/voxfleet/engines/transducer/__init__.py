"""Cache-aware streaming transducers: every second of live audio is heard once, in batches of many streams."""
