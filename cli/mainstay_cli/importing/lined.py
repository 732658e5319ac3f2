"""YAML of another tool with the line of everything, refused where it is too much or unclear."""

from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from .drafts import Unreadable

LARGEST_CHARACTERS = 5 << 20
DEEPEST = 60
MOST_VALUES = 200_000
NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
YES = frozenset({"true", "yes", "on", "y"})
NO = frozenset({"false", "no", "off", "n"})
MERGE = "<<"


class Lines(list[Any]):
    """A list with the line of each entry."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


class Settings(dict[str, Any]):
    """A mapping with the line of each key. Values are texts, `Lines`, `Settings` or None.

    What asks for a value of another kind than is there raises `Unreadable` with the line.
    """

    def __init__(self, line: int = 1) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        """Where a key stands; of one that is absent where its mapping begins."""
        return self.lines.get(key, self.line)

    def merge(self, other: "Settings") -> None:
        """Take what another has and this one has not."""
        for key in other:
            if key not in self:
                self[key], self.lines[key] = other[key], other.lines[key]

    def only(self, names: frozenset[str], what: str) -> None:
        """Refuse keys that no version of the tool is known to have there."""
        for key in self:
            if key not in names:
                self.refuse(key, f"{what} has no {key!r}; correct it, it has {_listed(names)}")

    def text(self, key: str) -> str:
        """A text; empty where there is none."""
        found = self.get(key)
        if found is None:
            return ""
        if not isinstance(found, str):
            self.refuse(key, f"{key} must be a text")
        return found

    def flag(self, key: str, *, usual: bool) -> bool:
        """Yes or no."""
        found = self.text(key).lower()
        if found and found not in YES | NO:
            self.refuse(key, f"{key} must be true or false")
        return found in YES if found else usual

    def section(self, key: str) -> "Settings":
        """A mapping; empty where there is none."""
        found = self.get(key)
        if found is None:
            return Settings(self.line_of(key))
        if not isinstance(found, Settings):
            self.refuse(key, f"{key} must be a mapping")
        return found

    def sections(self, key: str) -> list["Settings"]:
        """A list of mappings."""
        found = self._list(key)
        for line, each in zip(found.lines, found, strict=True):
            if not isinstance(each, Settings):
                raise Unreadable(f"Line {line}: each entry of {key} must be a mapping.")
        return list(found)

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = self._list(key)
        for line, each in zip(found.lines, found, strict=True):
            if not isinstance(each, str):
                raise Unreadable(f"Line {line}: each entry of {key} must be a text.")
        return list(found)

    def refuse(self, key: str, why: str) -> NoReturn:
        """Refuse the whole file for what stands at a key."""
        raise Unreadable(f"Line {self.line_of(key)}: {why}.")

    def _list(self, key: str) -> Lines:
        found = self.get(key)
        if found is None:
            return Lines()
        if not isinstance(found, Lines):
            self.refuse(key, f"{key} must be a list")
        return found


def read_lined(text: str, what: str) -> Settings:
    """The one mapping that a file holds. Raises `Unreadable` with line and next step.

    A plain word is a text, whatever it looks like: what it means, its reader knows. No message
    repeats a value, which may be a secret.
    """
    if len(text) > LARGEST_CHARACTERS:
        raise Unreadable(f"{what} is larger than {LARGEST_CHARACTERS >> 20} MiB; give it in parts.")
    try:
        found = _Reader(yaml.parse(text, Loader=yaml.CSafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or error.context or "it cannot be read"
        raise Unreadable(f"{what} is no YAML: line {line}: {problem}.") from None
    except yaml.YAMLError:
        raise Unreadable(f"{what} holds characters that no YAML has; save it as UTF-8.") from None
    if not isinstance(found, Settings):
        raise Unreadable(f"{what} holds no settings; give the file that the tool itself reads.")
    return found


class _Reader:
    """Builds values of events; aliases count as often as they are used."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0

    def document(self) -> Any:  # noqa: ANN401 - a value of YAML
        while not isinstance(event := next(self.events), yaml.DocumentStartEvent):
            if isinstance(event, yaml.StreamEndEvent):
                return None
        found = self._value(next(self.events), 0)
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            _fail(event, "a second document begins; give one document a file")
        return found

    def _value(self, event: Any, depth: int) -> Any:  # noqa: ANN401 - a value of YAML
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                _fail(event, "an alias stands before, or within, what it names")
            found, size = self.anchors[event.anchor]
            self._add(event, size)
            return found
        if event.tag is not None and not event.tag.startswith("tag:yaml.org,2002:"):
            _fail(event, "has a tag, which this file cannot have; write the value itself")
        before = self.count
        self._add(event, 1)
        found = self._new(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = (found, self.count - before)
        return found

    def _new(self, event: Any, depth: int) -> Any:  # noqa: ANN401 - a value of YAML
        if isinstance(event, yaml.ScalarEvent):
            empty = event.implicit[0] and event.value in NOTHING
            return None if empty else str(event.value)
        if depth >= DEEPEST:
            _fail(event, f"more than {DEEPEST} levels deep; write it flatter")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listed(depth)
        return self._mapped(event, depth)

    def _listed(self, depth: int) -> Lines:
        found = Lines()
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
            found.lines.append(_line(event))
        return found

    def _mapped(self, begin: Any, depth: int) -> Settings:  # noqa: ANN401 - an event
        found, merged = Settings(_line(begin)), []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if not isinstance(key, str):
                _fail(event, "a key is no text")
            value = self._value(next(self.events), depth + 1)
            if key == MERGE:
                merged += value if isinstance(value, Lines) else [value]
                continue
            if key in found:
                _fail(event, f"{key!r} stands there twice; leave one")
            found[key], found.lines[key] = value, _line(event)
        for other in merged:
            if not isinstance(other, Settings):
                _fail(begin, "only mappings can be merged with <<")
            found.merge(other)
        return found

    def _add(self, event: Any, size: int) -> None:  # noqa: ANN401 - an event
        self.count += size
        if self.count > MOST_VALUES:
            _fail(event, f"more than {MOST_VALUES:,} values, aliases counted; give it in parts")


def _line(event: Any) -> int:  # noqa: ANN401 - an event
    return int(event.start_mark.line) + 1


def _fail(event: Any, why: str) -> NoReturn:  # noqa: ANN401 - an event
    raise Unreadable(f"Line {_line(event)}: {why}.")


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
