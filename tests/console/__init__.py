"""Tests of the console: its routes, and its pages in a real browser."""
