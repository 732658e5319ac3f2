"""Shapes: what servers report and ask (wire/guard), and what the API takes and gives."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from pydantic import BaseModel, Field

from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

from .models import Mode

MOST_PASSAGES = 2000
Short = Annotated[str, Meta(max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2**31)]


class SdkName(msgspec.Struct, frozen=True):
    """Which SDK reports."""

    name: Short = ""
    version: Short = ""


class ReportedPassage(msgspec.Struct, frozen=True, rename="camel"):
    """Requests of one second that are alike in everything but how many they were."""

    at: datetime
    method: Annotated[str, Meta(max_length=20)]
    route: Annotated[str, Meta(max_length=500)]
    status: Annotated[int, Meta(ge=100, le=599)]
    count: Annotated[int, Meta(ge=1, le=2**31)]
    address: Annotated[str, Meta(max_length=64)] = ""
    key_id: Annotated[str, Meta(max_length=36)] = ""
    owner: Short = ""
    credential: Annotated[str, Meta(max_length=16)] = ""
    refusal: Annotated[str, Meta(max_length=40)] = ""
    simulated: bool = False
    cost: Count = 0


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What an SDK reports about once a second; the golden messages are in `wire/guard/`."""

    batch_id: Annotated[str, Meta(min_length=8, max_length=64)]
    passages: Annotated[list[ReportedPassage], Meta(max_length=MOST_PASSAGES)]
    environment: Short = "production"
    sdk: SdkName = SdkName()
    sent_at: datetime | None = None
    dropped: Count = 0
    policy_version: Count = 0
    degraded: bool = False


class StoredPassage(msgspec.Struct, frozen=True):
    """One row of the table `guard_passages`."""

    instance_id: str
    at: datetime
    batch_id: str
    source: str
    method: str
    route: str
    address: str
    key_id: str
    owner: str
    credential: str
    status: int
    refusal: str
    simulated: bool
    count: int
    cost: int


class VerifyBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The question of an app in another language: may the bearer of this key do that."""

    key: Annotated[str, Meta(max_length=500)]
    environment: Short = "production"
    method: Annotated[str, Meta(max_length=20)] = ""
    path: Annotated[str, Meta(max_length=2000)] = ""
    address: Annotated[str, Meta(max_length=64)] = ""
    person: Short = ""
    scopes: Annotated[list[Short], Meta(max_length=50)] = []
    cost: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """The answer; `code` is "" when valid, and otherwise why not."""

    valid: bool
    code: str
    detail: str
    key_id: str
    owner: str
    plan: str
    scopes: list[str]
    headers: dict[str, str]
    simulated: str = ""


class GuardKeyBody(Body):
    """What a new guard key is called, such as the server that will hold it."""

    name: str = Field(min_length=1, max_length=100, examples=["web servers"])


class GuardKeyAnswer(Answer):
    """A guard key without its secret."""

    id: str = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    name: str = Field(examples=["web servers"])
    hint: str = Field(examples=["mst_guard_…x7Qa"])
    created_at: Instant
    last_used_at: Instant | None
    revoked_at: Instant | None


class NewGuardKeyAnswer(GuardKeyAnswer):
    """A guard key, with its secret this once, and the DSN that has both keys in it."""

    key: str = Field(examples=["mst_guard_4Zt0mV8kq2…"])
    dsn: str = Field(examples=["http://0123…:mst_guard_4Zt0…@127.0.0.1:8000/1"])


class GuardKeys(Answer):
    """A page of a project's guard keys, newest first."""

    guard_keys: list[GuardKeyAnswer]
    next_cursor: str | None


class ClientSection(Body):
    """How the client's address is told; `trustedHops` counts the proxies in front of the app."""

    trusted_hops: int = Field(0, ge=0, le=10, examples=[1])
    trusted_networks: list[str] = Field([], max_length=100, examples=[["10.0.0.0/8"]])
    ipv6_prefix_length: int = Field(64, ge=32, le=128, examples=[64])


class HeadersSection(Body):
    """Response headers that the guard sets where the app does not, and those that it removes."""

    set: dict[str, str] = Field(max_length=50, examples=[{"X-Content-Type-Options": "nosniff"}])
    remove: list[str] = Field([], max_length=50, examples=[["Server", "X-Powered-By"]])


class CorsSection(Body):
    """Which origins' pages may call the API from a browser."""

    origins: list[str] = Field(max_length=100, examples=[["https://app.example"]])
    methods: list[str] = Field(["GET", "POST"], max_length=20, examples=[["GET", "POST"]])
    headers: list[str] = Field([], max_length=50, examples=[["Authorization", "Content-Type"]])
    expose: list[str] = Field([], max_length=50, examples=[["RateLimit", "X-Trace-Id"]])
    credentials: bool = Field(False, examples=[True])  # noqa: FBT003 - pydantic's default
    max_age_seconds: int = Field(600, ge=0, le=86_400, examples=[600])


class GuardSettingsBody(Body):
    """What to change about an instance's guard; what is left out stays. `cors` null: no CORS."""

    mode: Mode | None = Field(None, examples=["enforce"])
    client: ClientSection | None = None
    most_body_bytes: int | None = Field(None, ge=0, le=10 * 2**30, examples=[10_485_760])
    headers: HeadersSection | None = None
    cors: CorsSection | None = None


class GuardSettingsAnswer(Answer):
    """The general sections of an instance's policy, and the policy's version."""

    mode: Mode
    client: ClientSection
    most_body_bytes: int = Field(examples=[10_485_760])
    headers: HeadersSection
    cors: CorsSection | None
    version: int = Field(examples=[42])


class FigureAnswer(Answer):
    """Requests with one outcome; `code` is "" for those that passed."""

    code: str = Field(examples=["rate-limited"])
    simulated: bool = Field(examples=[False])
    total: int = Field(examples=[412])
    addresses: int = Field(examples=[7])
    last_at: Instant


class GuardFigures(Answer):
    """What became of the requests of an instance."""

    instance_id: str = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    hours: int = Field(examples=[24])
    figures: list[FigureAnswer]


class SettingsForm(BaseModel):
    """The settings as the page sends them; networks and origins are words of a text."""

    mode: Mode = Mode.ENFORCE
    trusted_hops: int = Field(0, ge=0, le=10)
    trusted_networks: str = Field("", max_length=5000)
    most_body_mib: int = Field(10, ge=0, le=10_240)
    cors_origins: str = Field("", max_length=5000)
