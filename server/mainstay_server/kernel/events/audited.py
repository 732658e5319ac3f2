"""Administrative actions: the events that the audit log keeps, and what each of them changed."""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple

import msgspec
from typing_extensions import override

from mainstay_server.kernel.naming import name_of

from .reactions import Event, Origin, Reaction

LONGEST_VALUE = 1000
MOST_VALUES = 100

Value = str | int | float | bool | list[str] | None
Changes = dict[str, tuple[Value, Value]]

_SECRET = re.compile(r"secret|password|hash|token\b")
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Target(NamedTuple):
    """What was acted on: its id, and the name by which people know it."""

    id: str
    name: str


class Audited(Event, frozen=True, kw_only=True):
    """Somebody administered something: the audit log of the organization keeps it.

    A kind of event is called after its `noun` and what happened, in the past tense: with the noun
    `alert_rule`, `AlertRuleChanged` is the action `alert_rule.changed`. `changes` says of every
    field that is different now how it was and how it is, made by `changes_between`; what was
    made had nothing before, what was removed has nothing after. No secret belongs into an event.

    An action in a project or instance carries its id, one in the whole organization "". One that
    was tried and refused, such as a sign-in, is `failed`.
    """

    audited: ClassVar[bool] = True
    failed: ClassVar[bool] = False
    noun: ClassVar[str] = ""
    organization_id: str
    project_id: str = ""
    instance_id: str = ""
    changes: Changes = msgspec.field(default_factory=dict)

    @property
    def target(self) -> Target:
        """What was acted on; each noun's base class says which of its fields that is."""
        raise NotImplementedError

    @property
    def details(self) -> Mapping[str, Value]:
        """What else the audit log should tell, such as a reason; by default nothing."""
        return {}

    @property
    @override
    def subject(self) -> str:
        return self.target.id

    @classmethod
    def action(cls) -> str:
        """The stable name of what happened, such as `project.created`."""
        words = _INNER_CAPITAL.sub("_", cls.__name__).lower()
        return f"{cls.noun}.{words.removeprefix(f'{cls.noun}_')}"


def audited_actions() -> list[str]:
    """The names of all actions that the audit log may hold, in order."""
    found, waiting = set(), list(Audited.__subclasses__())
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if kind.noun and not kind.__subclasses__():
            found.add(kind.action())
    return sorted(found)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One event as a reaction to everything audited hears it, with who did it and from where.

    `position` is its place in the outbox, which grows with time but has gaps.
    """

    position: int
    event: Audited
    origin: Origin
    said_at: datetime


def on_audited(function: Callable[..., None]) -> Reaction:
    """Mark `def f(session, heard, *, now)` as the reaction to every audited event of any area.

    `heard` is a sequence of `Heard` of one organization, in the order they were said, at most
    500. They are heard in one transaction, so the effect of each happens once.
    """
    return Reaction(event=None, name=name_of(function), function=function, in_transaction=True)


def facts_of(thing: object, fields: Iterable[str]) -> dict[str, object]:
    """Some fields of a row as they are now, for `changes_between`; never one of a secret."""
    names = list(fields)
    assert not any(_SECRET.search(name) for name in names), "a secret belongs into no event"
    return {name: copy.deepcopy(getattr(thing, name)) for name in names}


def changes_between(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    """What is different: per field how it was and how it is, None where it was not or is gone.

    Of something made, `before` is empty; of something removed, `after` is. What lies within a
    mapping is told by its path, as `headers.remove`; at most 100 fields are.
    """
    was, is_now = dict(_leaves(before)), dict(_leaves(after))
    pairs = {name: (was.get(name), is_now.get(name)) for name in {**was, **is_now}}
    changed = [(name, pair) for name, pair in pairs.items() if pair[0] != pair[1]]
    return dict(changed[:MOST_VALUES])


def _leaves(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, Value]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"[:LONGEST_VALUE], _plain(value)


def _plain(value: object) -> Value:
    """A value as JSON has it; times as RFC 3339, long texts and lists cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [str(item)[:LONGEST_VALUE] for item in list(items)[:MOST_VALUES]]
    return str(value)[:LONGEST_VALUE]
