"""The rules of synced folders."""
