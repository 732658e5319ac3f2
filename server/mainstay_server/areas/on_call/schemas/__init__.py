"""Shapes: what people write and the API answers, by what it is about."""
