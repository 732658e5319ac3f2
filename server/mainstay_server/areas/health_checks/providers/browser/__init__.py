"""A real browser that goes through a page as a person would."""
