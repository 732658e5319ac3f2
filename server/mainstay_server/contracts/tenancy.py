"""What tenancy says: projects, instances, keys and people coming, changing and going."""

from typing import ClassVar

from typing_extensions import override

from mainstay_server.kernel.events import Event


class ProjectCreated(Event, frozen=True, kw_only=True):
    """Somebody made a project."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    slug: str

    @property
    @override
    def subject(self) -> str:
        return self.project_id


class InstanceChanged(Event, frozen=True, kw_only=True):
    """An instance was made, or its URL or the way it is asked changed; carries how it is now.

    `health_url` is the URL and the health path joined; empty while nobody said where it runs.
    """

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    environment: str
    health_url: str
    interval_seconds: int
    timeout_seconds: int
    degraded_after_ms: int

    @property
    @override
    def subject(self) -> str:
        return self.instance_id


class IngestKeyCreated(Event, frozen=True, kw_only=True):
    """A project got another ingest key."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    ingest_key_id: str


class IngestKeyDisabled(Event, frozen=True, kw_only=True):
    """An ingest key may not send any more."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    ingest_key_id: str


class AccessTokenCreated(Event, frozen=True, kw_only=True):
    """Somebody made an access token."""

    audited: ClassVar[bool] = True
    organization_id: str
    access_token_id: str
    name: str
    scopes: list[str]


class AccessTokenRevoked(Event, frozen=True, kw_only=True):
    """An access token opens nothing any more."""

    audited: ClassVar[bool] = True
    organization_id: str
    access_token_id: str


class PersonJoined(Event, frozen=True, kw_only=True):
    """A person became a member of an organization."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str
    role: str


class RoleChanged(Event, frozen=True, kw_only=True):
    """A member's role was changed."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str
    before: str
    after: str


class PersonRemoved(Event, frozen=True, kw_only=True):
    """A person is not a member of the organization any more."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str


class PersonSignedIn(Event, frozen=True, kw_only=True):
    """A person signed in with the password."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str


class SignInRefused(Event, frozen=True, kw_only=True):
    """A sign-in with a wrong address or password; the address is not kept."""

    audited: ClassVar[bool] = True
    reason: str


class ProjectChanged(Event, frozen=True, kw_only=True):
    """Somebody renamed a project."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    name: str

    @property
    @override
    def subject(self) -> str:
        return self.project_id


class ProjectRemoved(Event, frozen=True, kw_only=True):
    """A project is gone; its instances were said to be removed just before."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    slug: str

    @property
    @override
    def subject(self) -> str:
        return self.project_id


class InstanceRemoved(Event, frozen=True, kw_only=True):
    """An instance is gone; nobody asks it any more."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    instance_id: str
    environment: str

    @property
    @override
    def subject(self) -> str:
        return self.instance_id


class IngestKeyEnabled(Event, frozen=True, kw_only=True):
    """A disabled ingest key may send again."""

    audited: ClassVar[bool] = True
    organization_id: str
    project_id: str
    ingest_key_id: str


class PersonInvited(Event, frozen=True, kw_only=True):
    """Somebody made a link by which one person may join."""

    audited: ClassVar[bool] = True
    organization_id: str
    invitation_id: str
    role: str


class InvitationRevoked(Event, frozen=True, kw_only=True):
    """A link by which a person could have joined opens nothing any more."""

    audited: ClassVar[bool] = True
    organization_id: str
    invitation_id: str


class PasswordChanged(Event, frozen=True, kw_only=True):
    """A person has a new password; their other sessions have ended."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str


class SessionsEnded(Event, frozen=True, kw_only=True):
    """Signed-in browsers of a person were signed out from afar."""

    audited: ClassVar[bool] = True
    organization_id: str
    person_id: str
    count: int


class OrganizationRenamed(Event, frozen=True, kw_only=True):
    """An organization has another name."""

    audited: ClassVar[bool] = True
    organization_id: str
    name: str
