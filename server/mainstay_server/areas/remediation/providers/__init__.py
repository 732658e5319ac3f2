"""The kinds of actions that are sent from here; commands are fetched by their probes."""

from . import webhook

__all__ = ["webhook"]
