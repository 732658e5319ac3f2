"""The values that tell areas what they are asked about, without showing them tenancy's tables."""

from dataclasses import dataclass


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
