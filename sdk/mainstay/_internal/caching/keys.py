"""Names of what is cached: built so that no argument can pose as another, and found by pattern."""

import functools
import hashlib
import inspect
import re
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

MOST_CHARACTERS: Final = 512
_KEPT_CHARACTERS = 400
_SAFE = "@/., -_!$&"
_PLAIN = (str, int, float, bool, Decimal, UUID, date, time, timedelta)
_GLOB_CHARACTERS = re.compile(r"([\\?\[\]^])")


def build_key(*parts: object, **named: object) -> str:
    """Build a key: ``build_key("article", 7, page=2)`` is ``article:7:page=2``.

    A colon, a star or an equals sign inside a part is percent-encoded: two different lists of
    parts never make one key (7 and "7" are the same part), and what a user typed is never part
    of a pattern. Parts may be text, numbers, truth values, None, dates, UUIDs,
    members of an Enum, and lists and dicts of those; anything else raises TypeError, since the
    name of an object is not what it is.
    """
    told = [_told(part) for part in parts]
    told += [f"{name}={_told(part)}" for name, part in sorted(named.items())]
    return bounded(":".join(told))


def bounded(key: str) -> str:
    """Return the key; of one that is too long the beginning and a digest of the whole."""
    if len(key) <= MOST_CHARACTERS:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{key[:_KEPT_CHARACTERS]}~{digest}"


class Template:
    """How the key of a call is made of its arguments: ``article:{number}``.

    Without a text it is the function's full name and all of its arguments. Raises ValueError
    for a text that names what the function does not take, and for a method without a text:
    whether ``self`` matters is not for us to guess.
    """

    def __init__(self, function: Callable[..., Any], text: str | None) -> None:
        self._signature = inspect.signature(function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._text = text
        names = tuple(self._signature.parameters)
        if text is None:
            if names and names[0] in ("self", "cls"):
                raise ValueError(f"{self._name} is a method; say key=, for instance 'thing:{{id}}'")
            return
        for _, field, _, _ in string.Formatter().parse(text):
            if field is not None and re.split(r"[.\[]", field)[0] not in names:
                raise ValueError(f"the key {text!r} names {field!r}, which is no argument")

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the key of a call; raises TypeError where the call itself would."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self._text is not None:
            return bounded(_FORMATTER.vformat(self._text, (), bound.arguments))
        return build_key(self._name, **bound.arguments)


class _Quoting(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:  # noqa: ANN401 - Formatter's own
        return _told(format(value, format_spec) if format_spec else value)


_FORMATTER = _Quoting()


@functools.lru_cache(maxsize=1_000)
def pattern_of(pattern: str) -> "re.Pattern[str]":
    """Return what matches the keys of a pattern: a star is anything, all else is itself."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def redis_glob(pattern: str) -> str:
    """Return the same pattern in the words of Redis, where more characters have a meaning."""
    return _GLOB_CHARACTERS.sub(r"\\\1", pattern)


def _told(part: object) -> str:
    if isinstance(part, Enum):
        part = part.value
    if part is None:
        return "~none"
    if isinstance(part, _PLAIN):
        text = str(part).lower() if isinstance(part, bool) else str(part)
        return quote(text, safe=_SAFE, errors="surrogatepass").replace("~", "%7E")
    if isinstance(part, (list, tuple)):
        return f"({'+'.join(map(_inside, part))})"
    if isinstance(part, dict):
        pairs = [f"{_inside(name)}={_inside(value)}" for name, value in sorted(part.items())]
        return f"({'+'.join(pairs) or '='})"
    if isinstance(part, bytes):
        return "~" + part.hex()
    raise TypeError(f"a {type(part).__name__} has no place in a key; say key=, or give its id")


def _inside(part: object) -> str:
    return _told(part) or "~empty"  # else a list of one empty text would be an empty list
