"""What a configuration document may hold: the kinds of things that areas let it declare."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from .problems import Invalid
from .subjects import InstanceRef
from .web.bodies import Body

KEPT = "kept"
"""What a document says in place of a secret that is to stay as it is."""

Path = tuple[str | int, ...]


class Shape(Body):
    """One thing as a document writes it; what is left out has the default of its field.

    `KEY` are the fields that say which thing it is. Validators leave a value as it is stored:
    otherwise each plan of the same document would find it different.
    """

    KEY: ClassVar[tuple[str, ...]] = ("name",)

    @property
    def key(self) -> tuple[str, ...]:
        """Which thing it is, within its kind and project."""
        return tuple(str(getattr(self, name)) for name in self.KEY)

    def secret_paths(self) -> Sequence[Path]:
        """Where its secrets lie, by the names of the document; they are never shown."""
        return ()

    def keeps_secrets_of(self, present: "Shape") -> bool:
        """Whether a secret that is kept goes on to where it was meant for."""
        _ = present
        return True


@dataclass(frozen=True, kw_only=True)
class Held:
    """One thing that is there: its id, and how a document would write it, secrets and all.

    What is not `removable` belongs to something else and goes with it; pruning leaves it alone.
    What is `over` can stay in a document, but a new one is not written with it.
    """

    id: str
    shape: Shape
    removable: bool = True
    over: bool = False


@dataclass(kw_only=True)
class ConfiguredProject:
    """The project that a document is about. `instances` are its present ones by environment."""

    id: str
    slug: str
    organization_id: str
    instances: dict[str, InstanceRef]

    def instance(self, environment: str) -> InstanceRef:
        """The instance of an environment. Raises `Invalid` when the project has none."""
        found = self.instances.get(environment)
        if found is None:
            known = ", ".join(self.instances) or "none"
            raise Invalid.of_field(
                "instance",
                (f"there is no instance {environment!r}; name it under instances (now: {known})"),
            )
        return found

    def environment_of(self, instance_id: str | None) -> str:
        """The environment of an instance; empty for none, which is the whole project."""
        if instance_id is None:
            return ""
        return next(e for e, one in self.instances.items() if one.id == instance_id)


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A kind of thing that a configuration document may hold.

    `name` is its list in the document, `order` its place there: what others refer to comes first,
    and is removed last. `export` gives every thing of a project. `write` makes one, or changes the
    one of the given id to be exactly so, and gives its id. `remove` takes one away. `finish` is
    called once with all that was written, for what refers to things of its own kind.

    All are called within one transaction and raise `Problem`s whose errors name fields of the
    shape. Each says its own audited events. `guarded` is what only administrators may remove,
    `administered` are the fields of the shape that only they may set to anything else.
    """

    name: str
    title: str
    order: int
    shape: type[Shape]
    export: Callable[[Session, ConfiguredProject], Sequence[Held]] = field(repr=False)
    write: "Write" = field(repr=False)
    remove: "Remove" = field(repr=False)
    finish: "Finish | None" = field(default=None, repr=False)
    guarded: bool = False
    administered: frozenset[str] = frozenset()


# Any shape, since each kind takes the one it declared.
Write = Callable[[Session, ConfiguredProject, Any, str | None, datetime], str]
Remove = Callable[[Session, ConfiguredProject, Held, datetime], None]
Finish = Callable[[Session, ConfiguredProject, Sequence[Held], datetime], None]


def numbered(names: Iterable[tuple[Hashable, str]]) -> list[str]:
    """The same names, each (place, name) once: a later one of the same has a number behind it.

    Documents know things by their names, which some kinds let stand twice.
    """
    taken: set[tuple[Hashable, str]] = set()
    found = []
    for place, name in names:
        free, number = name, 1
        while (place, free) in taken:
            number += 1
            free = f"{name} ({number})"
        taken.add((place, free))
        found.append(free)
    return found


def written(shape: Shape) -> dict[str, Any]:
    """A shape as a document writes it, defaults and all."""
    return shape.model_dump(mode="json", by_alias=True)


def leaves(value: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value by its path; lists of plain values are one, those of mappings are looked into."""
    for name, each in value.items():
        here = (*path, name)
        if isinstance(each, Mapping) and each:
            yield from leaves(each, here)
        elif isinstance(each, list) and any(isinstance(one, Mapping) for one in each):
            for index, one in enumerate(each):
                if isinstance(one, Mapping):
                    yield from leaves(one, (*here, index))
                else:
                    yield (*here, index), one
        else:
            yield here, each


def at(value: Any, path: Path) -> Any:  # noqa: ANN401 - whatever lies there
    """What lies at a path; None where nothing does."""
    for step in path:
        if not lies_in(value, step):
            return None
        value = value[step]
    return value


def lies_in(value: object, step: str | int) -> bool:
    """Whether a step of a path leads somewhere."""
    if isinstance(value, list):
        return isinstance(step, int) and 0 <= step < len(value)
    return isinstance(value, Mapping) and step in value


def put(value: Any, path: Path, new: object) -> None:  # noqa: ANN401 - a tree of the document
    """Put something in the place of what lies at a path."""
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new
