"""What speaks HTTP: one request, or several in a row."""
