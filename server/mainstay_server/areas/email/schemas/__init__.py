"""Shapes of mail: what the API takes and gives, what templates need, what the outbox carries."""
