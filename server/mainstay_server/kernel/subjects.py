"""The values that tell areas what they are asked about, without showing them tenancy's tables."""

from dataclasses import dataclass
from urllib.parse import quote


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

    def page(self, page: str) -> str:
        """The path of one of its project's pages, such as `monitoring`, about this instance."""
        chosen = quote(self.environment)
        return f"/dashboard/projects/{self.project_slug}/{page}?instance={chosen}"
