"""Shapes: what stores are told and tell, and what the API takes and gives."""
