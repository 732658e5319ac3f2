"""Shapes: what is asked of a document, the plan that it makes, and what the API takes and gives."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mainstay_server.kernel.configured import Configured, Held, Path, Shape
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

VERSION = 1
DEFAULT_OWNER = "mainstay"
LONGEST_VARIABLE = 100_000
MOST_VARIABLES = 10_000

Action = Literal["create", "change", "remove"]

EXAMPLE = """\
version: 1
instances:
  - environment: production
    url: https://shop.example.com
    healthPath: /health
    intervalSeconds: 60
"""


class Asked(Body):
    """A document, and what is to be done with it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"document": EXAMPLE, "variables": {}, "prune": False}]}
    )

    document: str = Field(description="The YAML, or JSON; at most 5 MiB.")
    variables: dict[
        Annotated[str, StringConstraints(max_length=200)],
        Annotated[str, StringConstraints(max_length=LONGEST_VARIABLE)],
    ] = Field(
        default={},
        max_length=MOST_VARIABLES,
        description="Values of the document's `${NAME}`. They are put into its texts here.",
    )
    prune: bool = Field(
        default=False, description="Remove what this document made and does not hold any more."
    )
    force: bool = Field(
        default=False,
        description="Take over what another document holds; with prune, remove from the lists that"
        " the document has also what was made by hand.",
    )
    fingerprint: str = Field(
        "",
        max_length=100,
        description="Of the plan that was agreed to: if it would be another one now, refuse (409).",
    )


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a document says of itself."""

    owner: str
    things: dict[str, list[tuple[Path, Shape]]]


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One value that is different; of a secret only whether there is one."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that a document makes, changes or removes; `path` is empty for what it lacks."""

    kind: Configured
    action: Action
    key: tuple[str, ...]
    path: Path
    line: int
    wanted: Shape | None
    held: Held | None
    fields: tuple[FieldChange, ...]


@dataclass(kw_only=True)
class Plan:
    """What applying a document would do, in the order of its kinds.

    `same` are things that are as the document says, `adopted` those of them that no document held,
    `left` those that it made and lacks now, when it does not prune.
    """

    owner: str
    steps: list[Step] = field(default_factory=list)
    same: list[tuple[Configured, Held]] = field(default_factory=list)
    adopted: int = 0
    left: list[tuple[Configured, Held]] = field(default_factory=list)
    fingerprint: str = ""

    def count(self, action: Action) -> int:
        """How many things it would create, change or remove."""
        return sum(step.action == action for step in self.steps)


class FieldAnswer(Answer):
    """One value before and after; null where there was or is none."""

    field: str
    before: Any
    after: Any


class ChangeAnswer(Answer):
    """One thing that is created, changed or removed, with the line of the document it stands in."""

    kind: str
    name: str
    action: Action
    line: int | None
    fields: list[FieldAnswer]


class LeftAnswer(Answer):
    """A thing that this document made, and does not hold any more."""

    kind: str
    name: str


class PlanAnswer(Answer):
    """What a document changes. `fingerprint` names exactly this plan on this state."""

    project: str
    owner: str
    applied: bool
    created: int
    changed: int
    removed: int
    unchanged: int
    adopted: int
    changes: list[ChangeAnswer]
    left: list[LeftAnswer]
    fingerprint: str


class AppliedAnswer(Answer):
    """One time that a document was applied."""

    id: str
    owner: str
    applied_at: Instant
    actor_name: str
    created: int
    changed: int
    removed: int
    unchanged: int


class AppliedList(Answer):
    """The newest times first."""

    applied: list[AppliedAnswer]
    next_cursor: str | None


class HeadShape(BaseModel):
    """The part of a document that is no kind of thing, for its JSON Schema."""

    model_config = ConfigDict(title="Mainstay configuration")

    version: Literal[1]
    project: str = Field("", description="The slug of the project; refused by every other one.")
    owner: str = Field(
        DEFAULT_OWNER,
        min_length=1,
        max_length=100,
        description="The document's name for itself, when several look after one project.",
    )
