"""Read a document that somebody else wrote, and name the member that is wrong."""

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

# What a double holds exactly, and so what Lua in Redis counts with.
MOST: Final = 2**53
# Far above what a policy has; a list beyond it is a mistake or an attack.
_MOST_ITEMS = 200_000


class Section:
    """A JSON object that is read member by member.

    Each method raises ValueError with the place of a member that is not what it must be. A
    member that is missing or null is its ``default``; without one it is an error. What nobody
    asks for is not looked at, so that a newer server may say more.
    """

    def __init__(self, data: object, where: str = "policy") -> None:
        if not isinstance(data, Mapping):
            raise ValueError(f"{where} must be an object")  # noqa: TRY004 - one kind of error
        self._data: Mapping[str, Any] = data
        self._where = where

    def _get(self, name: str, kind: type[_T], what: str, default: _T | None) -> _T:
        value = self._data.get(name)
        if value is None:
            if default is None:
                raise ValueError(f"{self._where}.{name} is missing")
            return default
        # True is an int in Python, and a number in no document.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{self._where}.{name} must be {what}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string."""
        return self._get(name, str, "a string", default)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        return self._get(name, bool, "true or false", default)

    def whole(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a whole number, from ``least`` up to what a double holds exactly."""
        value = self._get(name, int, "a whole number", default)
        if not least <= value <= MOST:
            raise ValueError(f"{self._where}.{name} must be from {least} to {MOST}")
        return value

    def moment(self, name: str) -> float | None:
        """Return a moment (RFC 3339) in Unix seconds, or None for null."""
        if self._data.get(name) is None:
            return None
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise ValueError(f"{self._where}.{name} must be a moment (RFC 3339)") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Return one of the words that are known."""
        value = self.text(name, default)
        if value not in choices:
            raise ValueError(f"{self._where}.{name} must be one of {', '.join(choices)}")
        return value

    def section(self, name: str) -> "Section | None":
        """Return an object inside this one, or None when it is missing."""
        value = self._data.get(name)
        return None if value is None else Section(value, f"{self._where}.{name}")

    def each(self, name: str, read: "Callable[[Section], _T]") -> tuple[_T, ...]:
        """Read every object of a list."""
        return tuple(
            read(Section(item, f"{self._where}.{name}[{index}]"))
            for index, item in enumerate(self._items(name))
        )

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        items = self._items(name)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(f"{self._where}.{name} must hold strings only")
        return tuple(items)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return an object of strings as names and values, in its order."""
        value: dict[str, Any] = self._get(name, dict, "an object", {})
        if not all(isinstance(text, str) for text in value.values()):
            raise ValueError(f"{self._where}.{name} must hold strings only")
        return tuple(value.items())

    def fail(self, what: str) -> ValueError:
        """Return the error that says something of this whole section."""
        return ValueError(f"{self._where} {what}")

    def _items(self, name: str) -> list[Any]:
        items: list[Any] = self._get(name, list, "a list", [])
        if len(items) > _MOST_ITEMS:
            raise ValueError(f"{self._where}.{name} has more than {_MOST_ITEMS} items")
        return items
