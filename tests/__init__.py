"""Tests, by room; what they stand on is in `fakes`."""
