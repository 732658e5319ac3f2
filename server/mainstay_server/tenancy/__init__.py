"""Who is asking and about what; below every area and blind to all of them."""
