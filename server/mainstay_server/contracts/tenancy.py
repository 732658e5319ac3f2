"""What tenancy says: projects, instances, keys and people coming, changing and going."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Audited, Target, Value


class OrganizationEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of an organization itself."""

    noun: ClassVar[str] = "organization"
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.organization_id, self.name)


class OrganizationCreated(OrganizationEvent, frozen=True, kw_only=True):
    """The server's first start made an organization."""


class OrganizationRenamed(OrganizationEvent, frozen=True, kw_only=True):
    """An organization has another name."""


class ProjectEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a project itself."""

    noun: ClassVar[str] = "project"
    project_id: str
    slug: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.project_id, self.slug)


class ProjectCreated(ProjectEvent, frozen=True, kw_only=True):
    """Somebody made a project."""


class ProjectChanged(ProjectEvent, frozen=True, kw_only=True):
    """Somebody renamed a project."""


class ProjectRemoved(ProjectEvent, frozen=True, kw_only=True):
    """A project is gone; its instances were said to be removed just before."""


class InstanceEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of an instance itself."""

    noun: ClassVar[str] = "instance"
    project_id: str
    instance_id: str
    environment: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.instance_id, self.environment)


class InstanceChanged(InstanceEvent, frozen=True, kw_only=True):
    """An instance's URL or the way it is asked changed; carries how it is now.

    `health_url` is the URL and the health path joined; empty while nobody said where it runs.
    """

    health_url: str
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int


class InstanceCreated(InstanceChanged, frozen=True, kw_only=True):
    """Somebody made an instance, or data named its environment for the first time."""


class InstanceRemoved(InstanceEvent, frozen=True, kw_only=True):
    """An instance is gone; nobody asks it any more."""


class IngestKeyEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one ingest key."""

    noun: ClassVar[str] = "ingest_key"
    project_id: str
    ingest_key_id: str
    label: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.ingest_key_id, self.label)


class IngestKeyCreated(IngestKeyEvent, frozen=True, kw_only=True):
    """A project got another ingest key."""


class IngestKeyDisabled(IngestKeyEvent, frozen=True, kw_only=True):
    """An ingest key may not send any more."""


class IngestKeyEnabled(IngestKeyEvent, frozen=True, kw_only=True):
    """A disabled ingest key may send again."""


class AccessTokenEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one access token."""

    noun: ClassVar[str] = "access_token"
    access_token_id: str
    name: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.access_token_id, self.name)


class AccessTokenCreated(AccessTokenEvent, frozen=True, kw_only=True):
    """Somebody made an access token."""


class AccessTokenRevoked(AccessTokenEvent, frozen=True, kw_only=True):
    """An access token opens nothing any more."""


class InvitationEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of a link by which one person may join."""

    noun: ClassVar[str] = "invitation"
    invitation_id: str
    role: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.invitation_id, self.role)


class InvitationCreated(InvitationEvent, frozen=True, kw_only=True):
    """Somebody made a link by which one person may join."""


class InvitationRevoked(InvitationEvent, frozen=True, kw_only=True):
    """A link by which a person could have joined opens nothing any more."""


class PersonEvent(Audited, frozen=True, kw_only=True):
    """The base of what is said of one person in one organization."""

    noun: ClassVar[str] = "person"
    person_id: str
    email: str

    @property
    @override
    def target(self) -> Target:
        return Target(self.person_id, self.email)


class PersonJoined(PersonEvent, frozen=True, kw_only=True):
    """A person became a member of an organization."""


class PersonRoleChanged(PersonEvent, frozen=True, kw_only=True):
    """A member's role was changed."""


class PersonRemoved(PersonEvent, frozen=True, kw_only=True):
    """A person is not a member of the organization any more."""


class PersonSignedIn(PersonEvent, frozen=True, kw_only=True):
    """A person came in, with a password, a link or from another organization, as `way` says."""

    way: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"way": self.way}


class PersonSignedOut(PersonEvent, frozen=True, kw_only=True):
    """A person ended the session of the browser that asked for it."""


class PersonSignInRefused(PersonEvent, frozen=True, kw_only=True):
    """Somebody tried to sign in and gave a wrong password, or an address that nobody has.

    An address that is nobody's is not kept, since it may be a password typed into the wrong field;
    such a try is told to the organization that runs the server, with an empty `person_id`.
    """

    failed: ClassVar[bool] = True
    reason: str

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"reason": self.reason}


class PersonPasswordChanged(PersonEvent, frozen=True, kw_only=True):
    """A person has a new password; their other sessions have ended."""


class PersonSessionsEnded(PersonEvent, frozen=True, kw_only=True):
    """Signed-in browsers of a person were signed out from afar."""

    count: int

    @property
    @override
    def details(self) -> Mapping[str, Value]:
        return {"count": self.count}
