"""What is said of configuration documents."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target, Value


class ConfigurationApplied(Audited, frozen=True, kw_only=True):
    """Somebody applied a document to a project; what it changed is said of each thing besides."""

    noun: ClassVar[str] = "configuration"
    project_id: str
    slug: str
    owner: str
    created: int
    changed: int
    removed: int

    @property
    @override
    def target(self) -> Target:
        return Target(self.project_id, self.slug)

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {
            "owner": self.owner,
            "created": self.created,
            "changed": self.changed,
            "removed": self.removed,
        }
