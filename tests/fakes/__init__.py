"""Stand-ins that are products themselves: small, fast, strict, and tested like the real thing."""
