"""Shapes of tenancy's API."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import LATER, Instant
from mainstay_server.tenancy.addresses import dsn
from mainstay_server.tenancy.models import IngestKey, Instance, OneTimeLink, Role
from mainstay_server.tenancy.service.fields import (
    LONGEST_NAME,
    LONGEST_PATH,
    LONGEST_SLUG,
    LONGEST_URL,
)
from mainstay_server.tenancy.service.instances import (
    LEAST_DEGRADED_AFTER_MS,
    LONGEST_INTERVAL_SECONDS,
    LONGEST_TIMEOUT_SECONDS,
    MOST_DEGRADED_AFTER_MS,
    SHORTEST_INTERVAL_SECONDS,
)
from mainstay_server.tenancy.service.projects import ProjectView


def _told(description: str, example: object, **limits: int) -> Any:  # noqa: ANN401 - a Field
    """A field whose limits are told here; the service holds them, and refuses in its own words."""
    return Field(description=description, examples=[example], json_schema_extra={**limits})


Name = Annotated[str, _told("What people call it.", "Inspections", maxLength=LONGEST_NAME)]
Slug = Annotated[str, _told("Its name in addresses.", "inspections", maxLength=LONGEST_SLUG)]
Environment = Annotated[str, Field(examples=["production"])]
Url = Annotated[
    str, _told("Where it runs; may be empty.", "https://app.example", maxLength=LONGEST_URL)
]
HealthPath = Annotated[
    str, _told("What is asked there; empty: the URL itself.", "/health", maxLength=LONGEST_PATH)
]
IntervalSeconds = Annotated[
    int,
    _told(
        "How often it is asked.",
        60,
        minimum=SHORTEST_INTERVAL_SECONDS,
        maximum=LONGEST_INTERVAL_SECONDS,
    ),
]
TimeoutSeconds = Annotated[
    int, _told("How long an answer may take.", 10, minimum=1, maximum=LONGEST_TIMEOUT_SECONDS)
]
DegradedAfterMs = Annotated[
    int,
    _told(
        "From when on an answer is slow.",
        2000,
        minimum=LEAST_DEGRADED_AFTER_MS,
        maximum=MOST_DEGRADED_AFTER_MS,
    ),
]
Scopes = Annotated[list[str], Field(examples=[["project:read", "project:releases"]])]
Dsn = Annotated[
    str, Field(examples=["https://0123456789abcdef0123456789abcdef@mainstay.example/1"])
]
AnId = Annotated[str, Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])]


class PageAnswer(Answer):
    """A part of a list, and where the next one begins; null at the end."""

    next_cursor: str | None


class OrganizationAnswer(Answer):
    """An organization, and what the caller may do in it."""

    id: AnId
    name: Name
    role: Role


class MeAnswer(Answer):
    """Who is asking."""

    id: AnId
    name: Annotated[str, Field(examples=["Alice"])]
    email: Annotated[str, Field(examples=["alice@ships.example"])]
    organization: OrganizationAnswer
    organizations: list[OrganizationAnswer]
    scopes: Scopes | None = Field(description="What the token may; null for a person.")


class SwitchBody(Body):
    """Which organization to act in."""

    organization_id: AnId


class PasswordBody(Body):
    """The present password, and the new one."""

    current_password: Annotated[str, Field(examples=["correct horse battery staple"])]
    new_password: Annotated[str, Field(examples=["seven sails over a calm harbour"])]


class SessionAnswer(Answer):
    """One signed-in browser of the caller."""

    id: AnId
    current: bool
    address: Annotated[str, Field(examples=["192.0.2.7"])]
    client: Annotated[str, Field(examples=["Mozilla/5.0"])]
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant


class SessionsAnswer(PageAnswer):
    """The caller's signed-in browsers."""

    sessions: list[SessionAnswer]


class EndedAnswer(Answer):
    """How many sessions were ended."""

    ended: Annotated[int, Field(examples=[2])]


class TokenBody(Body):
    """An access token to make."""

    name: Annotated[str, Field(examples=["deploy script"])]
    scopes: Scopes
    expires_at: Annotated[Instant | None, Field(examples=[LATER])] = None


class TokenAnswer(Answer):
    """An access token, told by its first characters."""

    id: AnId
    name: Annotated[str, Field(examples=["deploy script"])]
    hint: Annotated[str, Field(examples=["mst_4fGh"])]
    scopes: Scopes
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None


class NewTokenAnswer(TokenAnswer):
    """A token right after it was made: `token` is shown this once."""

    token: Annotated[str, Field(examples=["mst_4fGh8kLmNpQrStUvWxYz0123456789AbCdEfGhJk"])]


class TokensAnswer(PageAnswer):
    """The caller's access tokens."""

    tokens: list[TokenAnswer]


class MemberAnswer(Answer):
    """A person in the organization."""

    person_id: AnId
    name: Annotated[str, Field(examples=["Bob"])]
    email: Annotated[str, Field(examples=["bob@ships.example"])]
    role: Role
    joined_at: Instant


class MembersAnswer(PageAnswer):
    """The people of the organization."""

    members: list[MemberAnswer]


class RoleBody(Body):
    """A role to give."""

    role: Role


class InvitationAnswer(Answer):
    """An open invitation; `madeBy` is a person, and it is revoked when that person leaves."""

    id: AnId
    role: Role
    made_by: AnId
    created_at: Instant
    expires_at: Instant


class NewInvitationAnswer(InvitationAnswer):
    """An invitation right after it was made: `url` is shown this once; pass it on yourself."""

    url: Annotated[str, Field(examples=["https://mainstay.example/join/…"])]


class InvitationsAnswer(PageAnswer):
    """The open invitations."""

    invitations: list[InvitationAnswer]


class ProjectBody(Body):
    """A project to make."""

    name: Name
    slug: Slug | None = None


class ProjectChange(Body):
    """What of a project can change."""

    name: Name


class InstanceInProject(Answer):
    """An instance, as its project lists it."""

    id: AnId
    environment: Environment
    url: Url


class ProjectAnswer(Answer):
    """A project, and what an SDK needs to send to it."""

    id: AnId
    number: Annotated[int, Field(examples=[1])]
    slug: Slug
    name: Name
    dsn: Dsn
    ingest_key: Annotated[str, Field(examples=["0123456789abcdef0123456789abcdef"])]
    instances: list[InstanceInProject]


class ProjectsAnswer(PageAnswer):
    """Projects by slug."""

    projects: list[ProjectAnswer]


class KeyBody(Body):
    """An ingest key to make."""

    label: Annotated[str, Field(examples=["browser"], max_length=60)] = "default"


class KeyAnswer(Answer):
    """An ingest key; it may send and never read, so it is no secret."""

    id: AnId
    key: Annotated[str, Field(examples=["0123456789abcdef0123456789abcdef"])]
    label: Annotated[str, Field(examples=["browser"])]
    dsn: Dsn
    enabled: bool
    created_at: Instant
    disabled_at: Instant | None


class KeysAnswer(PageAnswer):
    """A project's ingest keys, oldest first."""

    ingest_keys: list[KeyAnswer]


class RotatedAnswer(Answer):
    """The new key, and the old one, which works until it is disabled."""

    new: KeyAnswer
    old: KeyAnswer


class InstanceBody(Body):
    """An instance to make."""

    project: Slug
    environment: Environment
    url: Url | None = None
    health_path: HealthPath | None = None
    interval_seconds: IntervalSeconds | None = None
    timeout_seconds: TimeoutSeconds | None = None
    degraded_after_ms: DegradedAfterMs | None = None


class InstanceChange(Body):
    """What of an instance can change; what is left out stays."""

    url: Url | None = None
    health_path: HealthPath | None = None
    interval_seconds: IntervalSeconds | None = None
    timeout_seconds: TimeoutSeconds | None = None
    degraded_after_ms: DegradedAfterMs | None = None


class InstanceAnswer(Answer):
    """An instance: where it runs and how it is asked."""

    id: AnId
    project: Slug
    project_id: AnId
    environment: Environment
    url: Url
    health_path: HealthPath
    interval_seconds: IntervalSeconds
    timeout_seconds: TimeoutSeconds
    degraded_after_ms: DegradedAfterMs
    created_at: Instant


class InstancesAnswer(PageAnswer):
    """Instances by project and environment."""

    instances: list[InstanceAnswer]


class SummaryAnswer(Answer):
    """How an instance is: beside who it is, one member per area that has something to say."""

    model_config = ConfigDict(extra="allow")

    instance_id: AnId
    project: Slug
    environment: Environment
    url: Url


class SummariesAnswer(PageAnswer):
    """The summaries of all the caller's instances."""

    summaries: list[SummaryAnswer]


def project_answer(view: ProjectView, base: str) -> ProjectAnswer:
    """A project as the API tells it."""
    project = view.project
    return ProjectAnswer(
        id=project.id,
        number=project.number,
        slug=project.slug,
        name=project.name,
        dsn=dsn(base, view.ingest_key, project.number),
        ingest_key=view.ingest_key,
        instances=[InstanceInProject.model_validate(instance) for instance in view.instances],
    )


def key_answer(key: IngestKey, base: str, number: int) -> KeyAnswer:
    """An ingest key as the API tells it."""
    return KeyAnswer(
        id=key.id,
        key=key.key,
        label=key.label,
        dsn=dsn(base, key.key, number),
        enabled=key.disabled_at is None,
        created_at=key.created_at,
        disabled_at=key.disabled_at,
    )


def instance_answer(instance: Instance, slug: str) -> InstanceAnswer:
    """An instance as the API tells it."""
    return InstanceAnswer(
        id=instance.id,
        project=slug,
        project_id=instance.project_id,
        environment=instance.environment,
        url=instance.url,
        health_path=instance.health_path,
        interval_seconds=instance.interval_seconds,
        timeout_seconds=instance.timeout_seconds,
        degraded_after_ms=instance.degraded_after_ms,
        created_at=instance.created_at,
    )


def invitation_answer(link: OneTimeLink, url: str) -> NewInvitationAnswer:
    """An invitation right after it was made."""
    return NewInvitationAnswer(**InvitationAnswer.model_validate(link).model_dump(), url=url)


def instance_summary(instance: InstanceRef, parts: dict[str, Any]) -> SummaryAnswer:
    """One instance's summary: who it is, and what each area says about it."""
    return SummaryAnswer(
        instance_id=instance.id,
        project=instance.project_slug,
        environment=instance.environment,
        url=instance.url,
        **parts,
    )
