"""The capabilities of Mainstay, one folder each, all of one shape."""
