"""Shapes: what scanners write, what becomes of it, and what the API takes and gives."""
