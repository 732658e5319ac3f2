"""What the audit log says: it was signed, exported, or its old rows were removed."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target, Value


class AuditCheckpointSigned(Event, frozen=True, kw_only=True):
    """The first `size` rows of an organization's log were signed; `note` may leave the machine.

    Not audited: each row would ask for the next signature, and that for the next row. In no order:
    each stands for itself, and one that cannot leave holds up none.
    """

    organization_id: str
    size: int
    note: str
    signed_at: datetime


class AuditLogEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of an organization's audit log itself."""

    noun: ClassVar[str] = "audit_log"

    @property
    @override
    def target(self) -> Target:
        return Target(self.organization_id, "the audit log")


class AuditLogExported(AuditLogEvent, frozen=True, kw_only=True):
    """Somebody took rows of the audit log away as a file; `filters` says which."""

    format: str
    filters: dict[str, str]

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"format": self.format, **self.filters}


class AuditLogTrimmed(AuditLogEvent, frozen=True, kw_only=True):
    """Retention removed the rows from `first` to `last`; `root` is what they add up to."""

    first: int
    last: int
    root: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"first": self.first, "last": self.last, "root": self.root}
