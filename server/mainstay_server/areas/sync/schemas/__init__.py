"""Shapes of synced folders: entries of a tree, chunks on the wire, and what the API gives."""
