"""The outside world: HTTP and WebSocket in front of conversations."""
