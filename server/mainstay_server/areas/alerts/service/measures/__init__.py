"""Rules over measures: how they are written, what ships, and how all are judged in one pass."""
