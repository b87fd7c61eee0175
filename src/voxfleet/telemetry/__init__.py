"""What may be known about a running system. Never transcript text, never audio."""
