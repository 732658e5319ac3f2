"""The multi-step check: requests in a row, where each may use what those before it brought back."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self, override

from mainstay_server.areas.health_checks.models import HealthState
from mainstay_server.areas.health_checks.schemas.orders import (
    LONGEST_REASON,
    ProbeOrder,
    ProbeResult,
    ProviderConfig,
    StepResult,
)
from mainstay_server.areas.health_checks.schemas.places import (
    PLACE,
    NotFilled,
    Secrets,
    Variable,
    filled,
    opened,
    places_in,
    without,
)
from mainstay_server.kernel.conditions import judge, names_in, parse
from mainstay_server.kernel.outbound import CookieJar, OutboundError, Response, Timings

from .asking import (
    Asking,
    Pem,
    basic,
    fault_of,
    remaining,
    safe_url,
    send,
    values_of,
)
from .extraction import Extraction, NotFound, extracted

LABEL = "Several steps"
VALUES = frozenset({"RESPONSE_TIME", "CONNECTED", "STEPS"})
MOST_STEPS = 20
# What cleaning up may take of the time-out when a step before it took all that it could.
TEARDOWN_SHARE = 0.25
SPOKEN = frozenset({"STATUS", "HEADER", "BODY", "SIZE", "IP", "REDIRECTS", "RESPONSE_TIME"})
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
EXAMPLE: Mapping[str, Any] = {
    "variables": {"shop": "https://shop.example.com"},
    "secrets": {"password": "s3cr3t"},
    "steps": [
        {
            "name": "log in",
            "method": "POST",
            "url": "{{shop}}/login",
            "body": '{"user": "probe", "password": "{{password}}"}',
            "extract": [{"variable": "token", "expression": "$.token", "secret": True}],
        },
        {
            "name": "order",
            "method": "POST",
            "url": "{{shop}}/orders",
            "headers": {"authorization": "Bearer {{token}}"},
            "conditions": ["[STATUS] == 201", "[BODY].state == open"],
            "extract": [{"variable": "order", "expression": "$.id"}],
        },
        {
            "name": "delete the order",
            "method": "DELETE",
            "url": "{{shop}}/orders/{{order}}",
            "headers": {"authorization": "Bearer {{token}}"},
            "alwaysRuns": True,
        },
    ],
}


class Step(Asking):
    """One request. Its `conditions` must hold; what it has to `extract` is handed on.

    `basicAuth` is `user:password`, each best as a place such as `{{password}}`. A step that
    `alwaysRuns` cleans up: it runs, after all others, also when one of them failed, unless it needs
    what was never brought back.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    basic_auth: Annotated[str, Field(max_length=1_000)] = ""
    conditions: list[Annotated[str, Field(max_length=500)]] = Field(
        default_factory=list, max_length=20
    )
    extract: list[Extraction] = Field(default_factory=list, max_length=20)
    always_runs: bool = False

    @field_validator("conditions")
    @classmethod
    def _understood(cls, conditions: list[str]) -> list[str]:
        for text in conditions:
            if unknown := names_in(parse(text)) - SPOKEN:
                raise ValueError(f"a step knows no [{min(unknown)}]")
        return conditions

    @property
    @override
    def texts(self) -> tuple[str, ...]:
        return (*super().texts, self.basic_auth)


class Config(ProviderConfig):
    """The steps, and what they have in common.

    `{{name}}` stands for a variable, a secret, or what an earlier step extracted. Cookies go from
    step to step as in a browser.
    """

    steps: Annotated[list[Step], Field(min_length=1, max_length=MOST_STEPS)]
    variables: dict[Variable, Annotated[str, Field(max_length=2_000)]] = Field(
        default_factory=dict, max_length=50
    )
    secrets: Secrets = Field(default_factory=dict)
    client_certificate: Pem | None = None

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError("has two steps of one name")
        if all(step.always_runs for step in self.steps):
            raise ValueError("has no step but those that clean up")
        known = {*self.variables, *opened(self.secrets)}
        if twice := set(self.variables) & set(self.secrets):
            raise ValueError(f"has {min(twice)} as a variable and as a secret")
        for step in in_order(self.steps):
            for text in (step.url, *step.texts):
                if unknown := places_in(text) - known:
                    raise ValueError(f"step {step.name}: nothing fills {{{{{min(unknown)}}}}}")
            _address_of(step, self.variables)
            known |= {each.variable for each in step.extract}
        return self


def in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps as they run: those that clean up come last, each group in the order given."""
    yield from (step for step in steps if not step.always_runs)
    yield from (step for step in steps if step.always_runs)


def target_of(config: Config) -> str:
    """How many steps, and the places that they ask."""
    places = dict.fromkeys(_address_of(step, config.variables) for step in config.steps)
    count = len(config.steps)
    return f"{count} step{'s' if count > 1 else ''} at {', '.join(places)}"


def host_of(config: Config) -> str:
    """The host of the first step."""
    return urlsplit(_address_of(config.steps[0], config.variables)).hostname or ""


async def ask(order: ProbeOrder) -> ProbeResult:
    """Run the steps until one fails, then those that clean up, and judge by the first failure.

    The time is that of all steps together. Unhealthy: a step did not answer as it should, and the
    reason names it. Degraded: all together took longer than the check allows.
    """
    config = Config.model_validate(order.config)
    run = _Run(config=config, order=order)
    for step in in_order(config.steps):
        await run.take(step)
    return run.result()


@dataclass(kw_only=True)
class _Run:
    """One run of the steps: what is known so far, and what each came to."""

    config: Config
    order: ProbeOrder
    done: list[StepResult] = field(default_factory=list)
    failed: StepResult | None = None
    inconclusive: OutboundError | None = None
    jar: CookieJar = field(default_factory=CookieJar)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.values = {**self.config.variables, **opened(self.config.secrets)}
        self.hidden = [*opened(self.config.secrets).values()]
        pem = self.config.client_certificate
        self.client_pem = pem.get_secret_value() if pem else ""

    async def take(self, step: Step) -> None:
        """Run one step, or skip it when one before it failed and it does not clean up."""
        if self.failed is not None and not step.always_runs:
            self.done.append(StepResult(name=step.name, state="skipped"))
            return
        began = time.monotonic()
        found = StepResult(name=step.name, state="unhealthy", cleans_up=step.always_runs)
        try:
            response = await send(
                step,
                step.url,
                values=self.values,
                timeout_seconds=remaining(self._until(step)),
                authorization=basic(filled(step.basic_auth, self.values)),
                client_pem=self.client_pem,
                jar=self.jar,
            )
        except NotFilled as missing:
            found = replace(found, state="skipped", reason=f"nothing was put into {missing}")
        except OutboundError as error:
            found = replace(
                found,
                reason=self.order.unanswered(error, began=began).reason,
                response_ms=(time.monotonic() - began) * 1000,
            )
            if error.own_limit:
                self.inconclusive = error
        else:
            found = self._judged(step, response, found)
        self._keep(found)

    def _until(self, step: Step) -> float:
        """When the step must be over: some of the time is kept for cleaning up."""
        whole: float = self.order.timeout_seconds
        if not step.always_runs and any(each.always_runs for each in self.config.steps):
            whole *= 1 - TEARDOWN_SHARE
        return self.began + whole

    def _judged(self, step: Step, response: Response, found: StepResult) -> StepResult:
        spoken = values_of(response) | {"RESPONSE_TIME": round(response.timings.total, 1)}
        judged = [judge(parse(text), spoken) for text in step.conditions]
        failed = tuple(each.shown for each in judged if not each.holds)
        # Conditions may speak of the status: one that does, decides on it.
        told = any("STATUS" in names_in(parse(text)) for text in step.conditions)
        fault = "" if told and not step.accepted_statuses else fault_of(step, response)
        reason = fault or "; ".join(failed) or self._extract(step, response)
        return replace(
            found,
            state="unhealthy" if reason else "healthy",
            reason=reason,
            failed=failed,
            status_code=response.status,
            url=safe_url(response.url),
            response_ms=response.timings.total,
            timings=response.timings,
        )

    def _extract(self, step: Step, response: Response) -> str:
        """Put what the answer holds into variables; returns what is missing."""
        for wanted in step.extract:
            try:
                value = extracted(wanted, response)
            except NotFound as missing:
                return str(missing)
            self.values[wanted.variable] = value
            if wanted.is_hidden:
                self.hidden.append(value)
        return ""

    def _keep(self, found: StepResult) -> None:
        hidden = [*self.hidden, *self.jar.values()]
        found = replace(
            found,
            reason=without(found.reason, hidden)[:LONGEST_REASON],
            failed=tuple(without(text, hidden) for text in found.failed),
            url=without(found.url, hidden),
        )
        self.done.append(found)
        if found.state == "unhealthy" and self.failed is None:
            self.failed = found

    def result(self) -> ProbeResult:
        """What the whole run came to."""
        if self.inconclusive is not None:
            return self.order.unanswered(self.inconclusive, began=self.began)
        result = replace(
            self.order.answered(self._timings(), values={"STEPS": len(self.done)}),
            status_code=next((s.status_code for s in reversed(self.done) if s.status_code), 0),
            steps=tuple(self.done),
        )
        if self.failed is None:
            return result
        return replace(
            result,
            state=HealthState.UNHEALTHY,
            reason=f"step {self.failed.name}: {self.failed.reason}"[:LONGEST_REASON],
            failed=self.failed.failed,
            status_code=self.failed.status_code,
        )

    def _timings(self) -> Timings:
        """All steps together, without those that clean up."""
        asked = [step for step in self.done if not step.cleans_up]
        timed = [step.timings for step in asked if step.timings is not None]
        return Timings(
            queued=sum(each.queued for each in timed),
            resolve=sum(each.resolve for each in timed),
            connect=sum(each.connect for each in timed),
            tls=sum(each.tls for each in timed),
            first_byte=sum(each.first_byte for each in timed),
            transfer=sum(each.transfer for each in timed),
            total=sum(step.response_ms for step in asked),
        )


def _address_of(step: Step, variables: Mapping[str, str]) -> str:
    """Scheme and host of a step, which its variables alone may tell; raises ValueError.

    Neither a secret nor what an answer held may lead a request to another host.
    """
    parts = urlsplit(PLACE.sub(lambda place: variables.get(place.group(1), UNKNOWN), step.url))
    if UNKNOWN in parts.scheme + parts.netloc:
        raise ValueError(f"step {step.name}: only a variable may stand for the host of a URL")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"step {step.name}: the URL begins with neither http:// nor https://")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
