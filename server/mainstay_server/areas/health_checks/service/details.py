"""What is kept of a result besides its figures: failed conditions, facts, steps, complaints."""

from collections.abc import Mapping
from typing import Any

import msgspec

from mainstay_server.areas.health_checks.schemas.orders import ProbeResult, StepResult

LONGEST_DETAIL_BYTES = 32 * 1024


class KeptStep(msgspec.Struct, omit_defaults=True):
    """One step as it is kept; times in milliseconds."""

    name: str
    state: str
    response_ms: float = 0.0
    reason: str = ""
    status_code: int = 0
    url: str = ""
    cleans_up: bool = False
    timings: dict[str, float] = {}


class Detail(msgspec.Struct, omit_defaults=True):
    """All of it; empty for a result that had nothing more to say."""

    failed: list[str] = []
    facts: dict[str, Any] = {}
    steps: list[KeptStep] = []
    console: list[str] = []


def detail_of(result: ProbeResult) -> str:
    """The details of a result as they are kept; empty when there are none, or too many."""
    if not (result.failed or result.facts or result.steps or result.console):
        return ""
    kept = msgspec.json.encode(read_result(result))
    return kept.decode() if len(kept) <= LONGEST_DETAIL_BYTES else ""


def read_result(result: ProbeResult) -> Detail:
    """The details of a result that was just found."""
    return Detail(
        failed=list(result.failed),
        facts=dict(result.facts),
        steps=[_step(step) for step in result.steps],
        console=list(result.console),
    )


def read_detail(text: str) -> Detail:
    """Details as they were kept."""
    try:
        return msgspec.json.decode(text, type=Detail) if text else Detail()
    except msgspec.MsgspecError:  # of a version of Mainstay that kept them otherwise
        return Detail()


def timings_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The parts of a result's time that took any, in the order in which they came."""
    named = {
        "resolve": row["resolve_ms"],
        "connect": row["connect_ms"],
        "TLS": row["tls_ms"],
        "first byte": row["first_byte_ms"],
        "transfer": row["transfer_ms"],
    }
    return {name: took for name, took in named.items() if took}


def _step(step: StepResult) -> KeptStep:
    timings = step.timings
    return KeptStep(
        name=step.name,
        state=step.state,
        response_ms=round(step.response_ms, 2),
        reason=step.reason,
        status_code=step.status_code,
        url=step.url,
        cleans_up=step.cleans_up,
        timings={}
        if timings is None
        else {
            name: round(took, 2)
            for name, took in (
                ("resolve", timings.resolve),
                ("connect", timings.connect),
                ("TLS", timings.tls),
                ("first byte", timings.first_byte),
                ("transfer", timings.transfer),
            )
            if took
        },
    )
