"""What abuse says: somebody misbehaves towards an API, and is kept out or let in again."""

from datetime import datetime
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Event, Target
from mainstay_server.kernel.networks import shown


class AbuseDetected(Event, frozen=True, kw_only=True):
    """A rule found an address or a key; said once per finding, with what was done about it.

    `action` is `banned`, `simulated` (it would have been), `spared` (it may never be), `full`
    (as many bans are active as may be, none of them milder) or `told` (there is nothing to ban).
    """

    organization_id: str
    project_id: str
    instance_id: str
    rule: str
    offender: str
    evidence: str
    action: str
    until: datetime | None = None

    @property
    @override
    def subject(self) -> str:
        return f"{self.instance_id}:{self.offender}"


class BanEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one ban."""

    noun: ClassVar[str] = "ban"
    project_id: str
    instance_id: str
    ban_id: str
    network: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.ban_id, shown(self.network))


class BanImposed(BanEvent, frozen=True, kw_only=True):
    """An address or network is kept out for a while, by a rule or by somebody's hand."""


class BanLifted(BanEvent, frozen=True, kw_only=True):
    """A ban ended before its time: by hand, by the allowlist, or for a worse one."""


class AbuseSettingsEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of how an instance looks for abuse."""

    noun: ClassVar[str] = "abuse_settings"
    project_id: str
    instance_id: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, "abuse settings")


class AbuseSettingsChanged(AbuseSettingsEvent, frozen=True, kw_only=True):
    """Somebody changed whether abuse is looked for, only simulated or banned, and from when on."""
