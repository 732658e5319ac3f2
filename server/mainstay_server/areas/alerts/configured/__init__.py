"""What a document may hold of alerts, each kind in its own module."""
