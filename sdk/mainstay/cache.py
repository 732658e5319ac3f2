"""Keep what was expensive to make: a cache in two layers, and answers of the app."""

from mainstay._internal.caching.cache import DAY, LONG, MEDIUM, SHORT, Cache
from mainstay._internal.caching.keys import build_key as key
from mainstay._internal.caching.statistics import LayerStatistics, Statistics
from mainstay._internal.responses.base import ResponseCache
from mainstay._internal.responses.noting import keep, kept
from mainstay._internal.responses.purging import Cloudflare, Fastly, HTTPPurge

__all__ = [
    "DAY",
    "LONG",
    "MEDIUM",
    "SHORT",
    "Cache",
    "Cloudflare",
    "Fastly",
    "HTTPPurge",
    "LayerStatistics",
    "ResponseCache",
    "Statistics",
    "keep",
    "kept",
    "key",
]
