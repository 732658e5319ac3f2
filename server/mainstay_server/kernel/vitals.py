"""Vitals: what a part of the process knows of itself, for those who watch the watcher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number for `/metrics`; a counter's name is without `_total`."""

    name: str
    about: str
    value: float
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """How a part is now: its line in the health document, and its figures."""

    status: Literal["healthy", "degraded", "unhealthy"]
    usage: Mapping[str, float] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Vital:
    """A part that an area declares; `read` gives None in a process that does not run it."""

    name: str
    read: Callable[[], Vitals | None]
