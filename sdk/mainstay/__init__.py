"""Mainstay in your app: request metrics and health, with nothing but the standard library."""

from mainstay._internal.asgi import ASGIMiddleware
from mainstay._internal.client import close, flush, init
from mainstay._internal.health import Health
from mainstay._internal.message import SDK_VERSION
from mainstay._internal.wsgi import WSGIMiddleware

__version__ = SDK_VERSION

__all__ = [
    "ASGIMiddleware",
    "Health",
    "WSGIMiddleware",
    "__version__",
    "close",
    "flush",
    "init",
]
