"""The values that tell areas what they are asked about, without showing them tenancy's tables."""

from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import quote


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
