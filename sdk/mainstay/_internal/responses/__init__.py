"""Answers of the app, kept by the rules of HTTP."""
