"""Shapes: a limit as it holds, the limits that every instance begins with, what the API takes."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from mainstay_server.kernel.limits import OnError
from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

from .models import By

EVERYTHING = "/*"
LIMIT_OF_A_KEY = "key"
MOST_NUMBER = 1_000_000_000
LONGEST_WINDOW_SECONDS = 366 * 86_400
NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
METHOD_PATTERN = "^[A-Za-z][A-Za-z-]{0,19}$"
PATH_PATTERN = r"^/[^*\x00-\x1f]*\*?$"
_NAME, _METHOD = re.compile(NAME_PATTERN), re.compile(METHOD_PATTERN)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One limit: `quota` in `window_seconds`, evenly, `burst` of them at once.

    It holds for the methods and paths (an exact one, or a prefix before a final `*`) and for keys
    of the plans; an empty list is all. A request costs `cost` times its own. One that only
    simulates counts and tells, and refuses nobody.
    """

    name: str
    quota: int
    window_seconds: int
    burst: int
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = (EVERYTHING,)
    plans: tuple[str, ...] = ()
    by: By = By.CALLER
    cost: int = 1
    on_backend_error: OnError = OnError.LOCAL
    simulate: bool = False
    enabled: bool = True

    def to_wire(self) -> dict[str, Any]:
        """As `wire/guard` describes it."""
        return {
            "name": self.name,
            "methods": list(self.methods),
            "paths": list(self.paths),
            "plans": list(self.plans),
            "by": str(self.by),
            "quota": self.quota,
            "windowSeconds": self.window_seconds,
            "burst": self.burst,
            "cost": self.cost,
            "onBackendError": str(self.on_backend_error),
            "simulate": self.simulate,
        }


# It holds for every instance without a row being written: 100 a minute for everybody everywhere.
DEFAULTS = {
    policy.name: policy
    for policy in (Policy(name="default", quota=100, window_seconds=60, burst=100),)
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A limit that many APIs want, one click away; `title` says what for."""

    title: str
    policy: Policy


PRESETS = {
    preset.policy.name: preset
    for preset in (
        Preset(
            title="New accounts: 5 an hour from one address",
            policy=Policy(
                name="register",
                methods=("POST",),
                paths=("/api/register",),
                by=By.ADDRESS,
                quota=5,
                window_seconds=3600,
                burst=5,
            ),
        ),
        Preset(
            title="Preferences: 20 changes an hour",
            policy=Policy(
                name="preferences",
                methods=("POST", "PUT", "PATCH", "DELETE"),
                paths=("/api/preferences", "/api/preferences/*"),
                quota=20,
                window_seconds=3600,
                burst=20,
            ),
        ),
        Preset(
            title="Passwords: 10 tries in 15 minutes from one address",
            policy=Policy(
                name="sign-in",
                methods=("POST",),
                paths=("/login", "/api/login", "/api/auth/*"),
                by=By.ADDRESS,
                quota=10,
                window_seconds=900,
                burst=10,
            ),
        ),
        Preset(
            title="Everything: 100 a minute from one address, whatever its keys",
            policy=Policy(
                name="per-address", by=By.ADDRESS, quota=100, window_seconds=60, burst=100
            ),
        ),
    )
}


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or text == LIMIT_OF_A_KEY:
        raise ValueError(
            "has 1 to 64 letters, digits, dots, dashes or underscores, begins with a letter or"
            f" digit, and is not {LIMIT_OF_A_KEY!r}, which is the name of the keys' own limits"
        )
    return text


def _methods(methods: list[str]) -> list[str]:
    for method in methods:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"{method[:40]!r} is no HTTP method")
    return sorted({method.upper() for method in methods})


def _paths(paths: list[str]) -> list[str]:
    for path in paths:
        if not path.startswith("/") or "*" in path[:-1] or not path.isprintable():
            raise ValueError(
                f"{path[:60]!r} is neither a path that begins with / nor one with a final *"
            )
    return list(dict.fromkeys(paths))


# The patterns are shown in the document; the validators say what to write instead.
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME_PATTERN})]
Method = Annotated[str, Field(json_schema_extra={"pattern": METHOD_PATTERN})]
Path = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": PATH_PATTERN})]
Plan = Annotated[str, Field(min_length=1, max_length=60)]
Methods = Annotated[list[Method], Field(max_length=10), AfterValidator(_methods)]
Paths = Annotated[list[Path], Field(min_length=1, max_length=50), AfterValidator(_paths)]
Plans = Annotated[list[Plan], Field(max_length=20)]
Whole = Annotated[int, Field(ge=1, le=MOST_NUMBER)]
Window = Annotated[int, Field(ge=1, le=LONGEST_WINDOW_SECONDS)]

EXAMPLE: dict[str, Any] = {
    "name": "reports",
    "methods": ["POST"],
    "paths": ["/api/reports"],
    "plans": ["FREE"],
    "by": "owner",
    "quota": 5,
    "windowSeconds": 3600,
    "burst": 5,
    "cost": 1,
    "onBackendError": "deny",
    "simulate": False,
    "enabled": True,
}


class NewRateLimit(Body):
    """A further limit. `burst` is the quota when it is left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Name
    methods: Methods = Field(default_factory=list)
    paths: Paths = Field(default_factory=lambda: [EVERYTHING])
    plans: Plans = Field(default_factory=list)
    by: By = By.CALLER
    quota: Whole
    window_seconds: Window
    burst: Whole | None = None
    cost: Whole = 1
    on_backend_error: OnError = OnError.LOCAL
    simulate: bool = False
    enabled: bool = True


class RateLimitChange(Body):
    """What to change; fields left out stay. A burst that was the quota follows it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quota": 200}]})

    methods: Methods | None = None
    paths: Paths | None = None
    plans: Plans | None = None
    by: By | None = None
    quota: Whole | None = None
    window_seconds: Window | None = None
    burst: Whole | None = None
    cost: Whole | None = None
    on_backend_error: OnError | None = None
    simulate: bool | None = None
    enabled: bool | None = None


class RateLimitAnswer(Answer):
    """One limit as it holds."""

    name: str
    methods: list[str]
    paths: list[str]
    plans: list[str]
    by: By
    quota: int
    window_seconds: int
    burst: int
    cost: int
    on_backend_error: OnError
    simulate: bool
    enabled: bool


class PresetAnswer(Answer):
    """A limit that could be added; `policy` is a body for `POST …/rate-limits`."""

    title: str
    policy: dict[str, Any]


class RateLimitsAnswer(Answer):
    """The limits of an instance, the default first, and those that could be added."""

    rate_limits: list[RateLimitAnswer]
    presets: list[PresetAnswer]


class LimitedAddress(Answer):
    """An address that limits refused lately; counts of requests in the range."""

    address: str
    limited: int
    total: int
    key_ids: list[str]
    last_at: Instant


class LimitedAnswer(Answer):
    """Whom limits held back, the most refused first; `known` is false while nobody reports it."""

    known: bool
    addresses: list[LimitedAddress]


class SwitchForm(Body):
    """A button of the page: which switch, and to what."""

    csrf_token: str = Field("", alias="csrf_token")
    switch: Literal["enabled", "simulate"]
    to: Literal["on", "off"]


class PolicyForm(Body):
    """The form of one limit. Lists are written one a line or between commas."""

    csrf_token: str = Field("", alias="csrf_token")
    name: str = ""
    methods: str = Field("", max_length=300)
    paths: str = Field(EVERYTHING, max_length=11_000)
    plans: str = Field("", max_length=1300)
    by: By = By.CALLER
    quota: Whole
    window_seconds: Window
    burst: Whole
    cost: Whole = 1
    on_backend_error: OnError = OnError.LOCAL
    simulate: str = ""
    enabled: str = ""
