"""Every engine, held to its port."""
