"""The `mainstay` command; speaks HTTP only, like any client."""
