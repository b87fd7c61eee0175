"""Whisper: what its model folders say, and its network in PyTorch, batched over many streams."""
