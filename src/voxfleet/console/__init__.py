"""The console: the first-time user's and the operator's window on a running server."""
