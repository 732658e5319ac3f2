"""What the allowlist says, and whom it lets in for those who ask."""

from collections.abc import Sequence
from typing import ClassVar

from sqlalchemy.orm import Session
from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target
from mainstay_server.kernel.networks import shown
from mainstay_server.kernel.ports import port


class AllowlistEntryEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one entry of an instance's allowlist."""

    noun: ClassVar[str] = "allowlist_entry"
    project_id: str
    instance_id: str
    entry_id: str
    network: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.entry_id, shown(self.network))


class AllowlistEntryAdded(AllowlistEntryEvent, frozen=True, kw_only=True):
    """Somebody let an address or network in."""


class AllowlistEntryChanged(AllowlistEntryEvent, frozen=True, kw_only=True):
    """Somebody switched an entry on or off, or described it anew."""


class AllowlistEntryRemoved(AllowlistEntryEvent, frozen=True, kw_only=True):
    """Somebody took an entry away."""


@port
def allowed_networks(session: Session, instance_id: str) -> Sequence[str]:
    """The networks that an instance's allowlist lets in, whether or not others are kept out."""
    raise NotImplementedError
