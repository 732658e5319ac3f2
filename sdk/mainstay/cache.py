"""Keep what was expensive to make: a cache in two layers, and answers of the app."""

from mainstay._internal.caching.cache import DAY, LONG, MEDIUM, SHORT, Cache
from mainstay._internal.caching.keys import build_key as key
from mainstay._internal.caching.statistics import LayerStatistics, Statistics

__all__ = ["DAY", "LONG", "MEDIUM", "SHORT", "Cache", "LayerStatistics", "Statistics", "key"]
