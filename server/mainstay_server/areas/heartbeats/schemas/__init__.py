"""Shapes: reports on their way in, our own API, Healthchecks' API, and the forms of pages."""
