"""Values as bytes, exactly as they were, without running anything when they are read."""

import base64
import hashlib
import hmac
import json
import pickle
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

_PLAIN: Final = b"j"
_TAGGED: Final = b"t"
_SIGNED: Final = b"p"
_DIGEST_BYTES = 32
_MOST_DEPTH = 100
_MARK = "$"
_AS_THEY_ARE = (str, int, float, bool, type(None))

_TELL: "dict[type, tuple[str, Callable[[Any], Any]]]" = {
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    bytes: ("bytes", lambda v: base64.b64encode(v).decode()),
}
_READ: "dict[str, Callable[[Any], Any]]" = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda v: timedelta(*v),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": base64.b64decode,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}


class Unreadable(Exception):
    """These bytes are none that we wrote, or nobody vouches for them."""


class Codec:
    """Turns values into bytes and back.

    JSON with marks for what JSON has no word for: dates, times, Decimal, UUID, bytes, tuples,
    sets, and dicts with keys other than text. Reading it can make those and nothing else, so
    that whoever can write to Redis cannot have the app run code, as with pickle.

    With a ``secret`` all other values are pickled and signed with it (HMAC-SHA256 over key and
    value); a pickle that is not signed with the secret, or was moved to another key, is not
    opened.
    """

    def __init__(self, secret: "str | bytes | None" = None) -> None:
        self._secret = secret.encode() if isinstance(secret, str) else secret

    def encode(self, key: str, value: object) -> bytes:
        """Return the value as bytes; raises TypeError for a value that cannot be kept exactly."""
        marked = _Marked()
        try:
            told = marked.of(value, 0)
            text = json.dumps(told, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            if self._secret is None:
                raise TypeError(
                    f"{error}; cache plain data (dict, list, text, numbers, dates), "
                    "or give the cache a secret to sign pickles with"
                ) from error
            return self._pickled(key, value)
        return (_TAGGED if marked.any else _PLAIN) + text.encode()

    def decode(self, key: str, content: bytes) -> Any:  # noqa: ANN401 - any value
        """Return the value; raises `Unreadable` for bytes of any other origin."""
        kind, body = content[:1], content[1:]
        try:
            if kind == _PLAIN:
                return json.loads(body.decode())
            if kind == _TAGGED:
                return json.loads(body.decode(), object_hook=_unmarked)
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
            raise Unreadable(key) from error
        if kind == _SIGNED:
            return self._unpickled(key, body)
        raise Unreadable(key)

    def _pickled(self, key: str, value: object) -> bytes:
        body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        return _SIGNED + self._signature(key, body) + body

    def _unpickled(self, key: str, signed: bytes) -> Any:  # noqa: ANN401 - any value
        signature, body = signed[:_DIGEST_BYTES], signed[_DIGEST_BYTES:]
        if self._secret is None or not hmac.compare_digest(signature, self._signature(key, body)):
            raise Unreadable(key)
        try:
            return pickle.loads(body)  # noqa: S301 - signed with the app's own secret
        except Exception as error:
            raise Unreadable(key) from error

    def _signature(self, key: str, body: bytes) -> bytes:
        assert self._secret is not None
        place = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(self._secret, place + body, hashlib.sha256)


class _Marked:
    def __init__(self) -> None:
        self.any = False

    def of(self, value: object, depth: int) -> Any:  # noqa: ANN401 - what JSON knows
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if depth >= _MOST_DEPTH:
            raise ValueError(f"it is more than {_MOST_DEPTH} levels deep")
        if kind is list:
            return [self.of(each, depth + 1) for each in value]  # type: ignore[attr-defined]
        if kind is dict:
            return self._of_dict(value, depth)  # type: ignore[arg-type]
        self.any = True
        if kind in (tuple, set, frozenset):
            members = [self.of(each, depth + 1) for each in value]  # type: ignore[attr-defined]
            return {_MARK: kind.__name__, "v": members}
        if kind in _TELL:
            name, tell = _TELL[kind]
            return {_MARK: name, "v": tell(value)}
        raise TypeError(f"a {kind.__name__} cannot be cached")

    def _of_dict(self, value: "dict[Any, Any]", depth: int) -> "dict[str, Any]":
        if _MARK not in value and all(type(name) is str for name in value):
            return {name: self.of(each, depth + 1) for name, each in value.items()}
        self.any = True
        pairs = [[self.of(k, depth + 1), self.of(v, depth + 1)] for k, v in value.items()]
        return {_MARK: "dict", "v": pairs}


def _unmarked(found: "dict[str, Any]") -> Any:  # noqa: ANN401 - any value
    if _MARK not in found:
        return found
    return _READ[found[_MARK]](found["v"])
