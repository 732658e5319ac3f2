"""Shapes: what a page shows, what the area says to itself, what the API takes and gives."""
