"""Shapes of remediation: what the API takes and gives, what a probe is told, what is to be sent."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import override

from mainstay_server.areas.remediation.models import ActionKind, RunState
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.web.bodies import Answer, Body, Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
NAME = r"^[a-z0-9][a-z0-9-]{0,59}$"
Name = Annotated[str, Field(pattern=NAME, examples=["restart-shop"])]
Id = Annotated[str, Field(max_length=36)]
MOST_SAID = 4000


class ActionFields(Body):
    """What is said of an action wherever it is written."""

    name: Name
    kind: ActionKind
    command: str = Field("", max_length=60)
    matchers: str = Field(max_length=2000)
    automatic: bool = False
    enabled: bool = True
    dry_run: bool = False
    most_tries: int = Field(3, ge=1, le=10)
    pause_seconds: int = Field(30, ge=0, le=3600)
    verify_seconds: int = Field(60, ge=1, le=3600)
    cooldown_seconds: int = Field(300, ge=0, le=86_400)


class ActionBody(ActionFields):
    """An action to allow: a signed webhook, or a command that a probe's own file names."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "restart-shop",
                    "kind": "webhook",
                    "url": "https://deployer.example.com/restart",
                    "matchers": 'alertname="instance_down"',
                    "automatic": True,
                }
            ]
        }
    )

    url: str = Field("", max_length=2000)
    probe_id: Id = ""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if self.kind is ActionKind.WEBHOOK and not self.url:
            raise ValueError("url is what a webhook needs, such as https://deployer.example/shop")
        if self.kind is ActionKind.COMMAND and not (self.probe_id and self.command):
            raise ValueError("command and probeId are needed; a probe tells which commands it has")
        return self


class ActionAnswer(Answer):
    """An action as it is allowed; of a URL only what is no secret."""

    id: str = Field(examples=[AN_ID])
    name: str = Field(examples=["restart-shop"])
    kind: ActionKind = Field(examples=["webhook"])
    target: str = Field(examples=["https://deployer.example.com/…"])
    matchers: str = Field(examples=['{alertname="instance_down"}'])
    automatic: bool = Field(examples=[True])
    enabled: bool = Field(examples=[True])
    dry_run: bool = Field(examples=[False])
    most_tries: int = Field(examples=[3])
    pause_seconds: int = Field(examples=[30])
    verify_seconds: int = Field(examples=[60])
    cooldown_seconds: int = Field(examples=[300])


class NewActionAnswer(ActionAnswer):
    """A new action with the secret that signs its webhook, shown this once; "" of a command."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


class ActionsAnswer(Answer):
    """The actions of a project, by name."""

    actions: list[ActionAnswer]
    next_cursor: str | None = Field(examples=[None])


class RunBody(Body):
    """Which alert an action is to put right now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"alertId": AN_ID}]})

    alert_id: Id


class TryAnswer(Answer):
    """One try; `wentThrough` is null while it runs."""

    number: int = Field(examples=[1])
    began_at: Instant
    ended_at: Instant | None
    went_through: bool | None = Field(examples=[True])
    said: str = Field(examples=["The receiver answered 200."])


class RunAnswer(Answer):
    """An alert that an action was, or is, to put right."""

    id: str = Field(examples=[AN_ID])
    action_id: str = Field(examples=[AN_ID])
    action: str = Field(examples=["restart-shop"])
    alert_id: str = Field(examples=[AN_ID])
    alert_title: str = Field(examples=["shop production is down"])
    state: RunState = Field(examples=["healed"])
    reason: str = Field(examples=["The alert is over."])
    started_at: Instant
    ended_at: Instant | None
    tries: list[TryAnswer]


class RunsAnswer(Answer):
    """Runs, the newest first."""

    runs: list[RunAnswer]
    next_cursor: str | None = Field(examples=[None])


class OrderedCommand(Answer):
    """A command that a probe is to run, by the name that its own file knows."""

    run_id: str = Field(examples=[AN_ID])
    number: int = Field(examples=[1])
    command: str = Field(examples=["restart-shop"])
    timeout_seconds: int = Field(examples=[60])


class OrdersAnswer(Answer):
    """What a probe is to run now; each is told once."""

    orders: list[OrderedCommand]


class CommandReport(Body):
    """How a command went; `exitCode` is null when it could not be run or was ended."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"number": 1, "exitCode": 0, "output": "restarted"}]}
    )

    number: int = Field(ge=1, le=10)
    exit_code: int | None = Field(ge=-1000, le=1000)
    output: str = Field("", max_length=MOST_SAID)


class ReportTaken(Answer):
    """Whether anybody still waited for the report."""

    taken: bool


class RemediationTryDue(Event, frozen=True, kw_only=True):
    """A try of a webhook is to be sent; one that is over or was made is not made again."""

    run_id: str
    number: int

    @property
    @override
    def subject(self) -> str:
        return self.run_id
