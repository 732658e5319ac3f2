"""Shapes of results: what was read from a file, and what the API gives."""
