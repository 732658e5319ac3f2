"""Shapes: what the API of the keys takes and gives."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mainstay_server.kernel.pagination import DEFAULT_PER_PAGE
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import FreeObject, Instant
from mainstay_server.kernel.web.pagination import Cursor, Limit

from .models import DEFAULT_MOST_PER_OWNER, DEFAULT_ROTATE_AFTER_DAYS, Status

SCOPE_PATTERN = "^[a-z][a-z0-9_.-]{0,39}:[a-z][a-z0-9_.-]{0,39}$"
PATH_PATTERN = "^/[^*\\s]*\\*?$"
DEFAULT_GRACE_HOURS = 24
MOST_GRACE_HOURS = 24 * 90
MOST_SCOPES = 50
MOST_NETWORKS = 50
MOST_LIMITS = 5
MOST_QUOTA = 1_000_000_000
MOST_WINDOW_SECONDS = 31 * 86_400
MOST_METADATA = 50
MOST_PATHS = 100
MOST_RULES = 50
MOST_METHODS = 10
MOST_PER_OWNER = 100_000
MOST_ROTATE_AFTER_DAYS = 3650
MOST_LEAKED = 1000
LONGEST_OWNER = 100
LONGEST_PLAN = 40
LONGEST_WHERE = 500

# Shown in the document; the service checks them, since it can say what to write instead.
Scope = Annotated[str, Field(max_length=81, json_schema_extra={"pattern": SCOPE_PATTERN})]
PathPattern = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": PATH_PATTERN})]
Network = Annotated[str, Field(max_length=50, examples=["203.0.113.0/24"])]
Scopes = Annotated[list[Scope], Field(max_length=MOST_SCOPES, examples=[["insight:read"]])]
Networks = Annotated[list[Network], Field(max_length=MOST_NETWORKS)]
Name = Annotated[str, Field(min_length=1, max_length=100, examples=["billing service"])]
Owner = Annotated[str, Field(max_length=LONGEST_OWNER, examples=["acme"])]
Plan = Annotated[str, Field(max_length=LONGEST_PLAN, examples=["PRO"])]
Metadata = Annotated[
    FreeObject, Field(max_length=MOST_METADATA, examples=[{"contract": "2026-117"}])
]


class KeyLimit(Body):
    """So many calls of one key in so many seconds."""

    quota: Annotated[int, Field(ge=1, le=MOST_QUOTA, examples=[100])]
    window_seconds: Annotated[int, Field(ge=1, le=MOST_WINDOW_SECONDS, examples=[60])]


Limits = Annotated[list[KeyLimit], Field(max_length=MOST_LIMITS)]


class NewApiKey(Body):
    """A key to be made. Without `networks` it works from anywhere, without `expiresAt` for good."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "billing service",
                    "scopes": ["insight:read"],
                    "owner": "acme",
                    "plan": "PRO",
                    "limits": [{"quota": 100, "windowSeconds": 60}],
                }
            ]
        }
    )

    name: Name
    scopes: Scopes = Field(default_factory=list)
    expires_at: Instant | None = None
    networks: Networks = Field(default_factory=list)
    limits: Limits = Field(default_factory=list)
    owner: Owner = ""
    plan: Plan = ""
    metadata: Metadata = Field(default_factory=dict)


class ApiKeyChanges(Body):
    """What to change; fields left out stay. `expiresAt: null` lets the key live for good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"scopes": ["insight:read", "insight:write"]}]}
    )

    name: Name | None = None
    scopes: Scopes | None = None
    expires_at: Instant | None = None
    networks: Networks | None = None
    limits: Limits | None = None
    owner: Owner | None = None
    plan: Plan | None = None
    metadata: Metadata | None = None
    enabled: bool | None = None


class RotateApiKey(Body):
    """Which key gets a successor, and how long it works beside it; 0 ends it at once."""

    key_id: Annotated[str, Field(max_length=36, examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])]
    grace_period_hours: Annotated[float, Field(ge=0, le=MOST_GRACE_HOURS, allow_inf_nan=False)] = (
        DEFAULT_GRACE_HOURS
    )


class ApiKeyAnswer(Answer):
    """One key, without the key. `prefix` and `lastFour` are how people tell it from others.

    It opens something while its status is `active` or `rotating`, and ends by itself at `endsAt`.
    """

    id: str
    instance_id: str
    name: str
    prefix: str
    last_four: str
    status: Status
    scopes: list[str]
    networks: list[str]
    limits: list[KeyLimit]
    owner: str
    plan: str
    metadata: dict[str, Any]
    enabled: bool
    created_at: Instant
    expires_at: Instant | None = None
    retires_at: Instant | None = None
    ends_at: Instant | None = None
    revoked_at: Instant | None = None
    leaked_at: Instant | None = None
    last_used_at: Instant | None = None
    replaces: str | None = None
    replaced_by: str | None = None


class NewApiKeyAnswer(ApiKeyAnswer):
    """A key right after it was made: `key` is shown in this answer only."""

    key: str


class RotatedApiKeyAnswer(NewApiKeyAnswer):
    """The successor, with the key, and the old key as it is now."""

    old_key: ApiKeyAnswer


class ApiKeysAnswer(Answer):
    """Keys, newest first."""

    api_keys: list[ApiKeyAnswer]
    next_cursor: str | None = None


class ApiKeyQuery(BaseModel):
    """Which keys to list."""

    q: str = Field(
        "", max_length=200, description="Searched in the name, the owner and the last four."
    )
    status: Status | None = Field(None, description="Only keys that are this now.")
    owner: str = Field("", max_length=LONGEST_OWNER, description="Only keys of this owner.")
    limit: Limit = DEFAULT_PER_PAGE
    cursor: Cursor = ""


class ScopeRule(Body):
    """What asks for scopes: all of them are needed. No methods means every method."""

    methods: Annotated[
        list[Annotated[str, Field(max_length=20)]], Field(max_length=MOST_METHODS)
    ] = Field(default_factory=list)
    paths: Annotated[list[PathPattern], Field(min_length=1, max_length=MOST_PATHS)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=MOST_SCOPES)]


class ApiKeySettingsBody(Body):
    """What an instance asks of the bearers of keys; what is left out has its default.

    A pattern is an exact path, or a prefix before a final `*`. `required` asks for a key, `public`
    wins over it. `rotateAfterDays` 0 reminds nobody.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "required": ["/api/*"],
                    "public": ["/api/health"],
                    "scopes": [
                        {
                            "methods": ["POST"],
                            "paths": ["/api/insights"],
                            "scopes": ["insight:write"],
                        }
                    ],
                }
            ]
        }
    )

    required: Annotated[list[PathPattern], Field(max_length=MOST_PATHS)] = Field(
        default_factory=list
    )
    public: Annotated[list[PathPattern], Field(max_length=MOST_PATHS)] = Field(default_factory=list)
    scopes: Annotated[list[ScopeRule], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    most_per_owner: Annotated[int, Field(ge=1, le=MOST_PER_OWNER)] = DEFAULT_MOST_PER_OWNER
    rotate_after_days: Annotated[int, Field(ge=0, le=MOST_ROTATE_AFTER_DAYS)] = (
        DEFAULT_ROTATE_AFTER_DAYS
    )


class ApiKeySettingsAnswer(Answer):
    """What holds now."""

    required: list[str]
    public: list[str]
    scopes: list[ScopeRule]
    most_per_owner: int
    rotate_after_days: int


class UsageShare(Answer):
    """What came by one route; `refused` is a part of `total`."""

    route: str
    method: str
    total: int
    refused: int
    last_at: Instant


class AddressShare(Answer):
    """What came from one address; `refused` is a part of `total`."""

    address: str
    total: int
    refused: int
    last_at: Instant


class ApiKeyUsageAnswer(Answer):
    """Who used a key, most first. `complete` is false when there was more than is told."""

    api_key_id: str
    hours: int
    total: int
    refused: int
    last_at: Instant | None = None
    routes: list[UsageShare]
    addresses: list[AddressShare]
    complete: bool


class LeakedToken(BaseModel):
    """One text that a scanner found; whatever else the scanner says of it is passed over."""

    token: str = Field(max_length=500, examples=["mst_production_api_" + "0" * 38])
    type: str = Field("", max_length=100, examples=["mainstay_api_key"])
    url: str = Field("", max_length=2000, examples=["https://code.example/file.py"])
    source: str = Field("", max_length=100, examples=["content"])


class KeyPatternAnswer(Answer):
    """How keys are recognised: the expression to search for, and how its hits are told apart."""

    name: str
    pattern: str
    checksum: str
    example: str
