"""The rules of status pages: what is on them, how it is shown and served, who is told."""
