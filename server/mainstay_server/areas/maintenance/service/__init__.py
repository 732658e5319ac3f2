"""The rules of maintenance."""
