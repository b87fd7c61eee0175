"""The same recordings heard in several ways, scored alike."""
