"""Mainstay in your app: its guard, metrics and health, with nothing but the standard library."""

from mainstay._internal.alerts import send_alert
from mainstay._internal.asgi import ASGIMiddleware
from mainstay._internal.client import close, flush, init
from mainstay._internal.guard.base import Guard
from mainstay._internal.guard.marks import aidentify, cost, identify, limit, scopes
from mainstay._internal.guard.passage import Passage, current_request
from mainstay._internal.guard.refusals import Refused
from mainstay._internal.health import Health
from mainstay._internal.mail import send_email
from mainstay._internal.message import SDK_VERSION
from mainstay._internal.wsgi import WSGIMiddleware

__version__ = SDK_VERSION

__all__ = [
    "ASGIMiddleware",
    "Guard",
    "Health",
    "Passage",
    "Refused",
    "WSGIMiddleware",
    "__version__",
    "aidentify",
    "close",
    "cost",
    "current_request",
    "flush",
    "identify",
    "init",
    "limit",
    "scopes",
    "send_alert",
    "send_email",
]
