"""The rules of objectives."""
