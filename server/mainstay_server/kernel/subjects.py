"""The values that tell areas what they are asked about, without showing them tenancy's tables."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypedDict
from urllib.parse import quote

from sqlalchemy.orm import Session


class InstanceIds(TypedDict):
    """Whose something is: what every event about something in an instance carries."""

    organization_id: str
    project_id: str
    instance_id: str


@dataclass(frozen=True, kw_only=True)
class InstanceRef:
    """One instance, as areas see it. `url` is empty until somebody said where it runs."""

    id: str
    environment: str
    url: str
    project_id: str
    project_number: int
    project_slug: str
    project_name: str
    organization_id: str

    @property
    def ids(self) -> InstanceIds:
        """The ids for an event: `KeyRevoked(**instance.ids, …)`."""
        return {
            "organization_id": self.organization_id,
            "project_id": self.project_id,
            "instance_id": self.id,
        }

    def page(self, page: str) -> str:
        """The path of one of its project's pages, such as `monitoring`, about this instance."""
        chosen = quote(self.environment)
        return f"/dashboard/projects/{self.project_slug}/{page}?instance={chosen}"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A health check or a heartbeat, as those see it who only care how it is.

    `state` is a `kernel.watching.State`, `flapping` whether it goes back and forth. `page` is the
    path of its page in the dashboard. `watched_until` and `silent_at` tell those who read its
    spells how far what was last heard speaks for it.
    """

    id: str
    kind: Literal["health_check", "heartbeat"]
    organization_id: str
    project_id: str
    instance_id: str
    name: str
    tags: tuple[str, ...]
    state: str
    state_since: datetime
    state_reason: str
    page: str
    flapping: bool = False
    watched_until: datetime | None = None
    silent_at: datetime | None = None


class Watches(Protocol):
    """What an area watches, for `Area(watches=…)`."""

    def list(self, session: Session, project_id: str, *, limit: int) -> Sequence[Watched]:
        """Everything it watches in a project, by name; at most so many."""

    def find(self, session: Session, ids: Collection[str]) -> Sequence[Watched]:
        """Those of the ids that are its own."""
