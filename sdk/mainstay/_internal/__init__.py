"""Everything behind the public face; nothing in here is promised to stay as it is."""
