"""Ledgers of runs in JSON: a list of steps, one object that holds such a list, or a step a line."""

from typing import Any

from mainstay_server.areas.results.models import CaseStatus
from mainstay_server.areas.results.schemas.parsed import (
    LONGEST_MESSAGE,
    LONGEST_NAME,
    MOST_CASES,
    MOST_METRICS,
    Case,
    Parsed,
    decoded,
    gathered,
    number_of,
    unreadable,
)

LISTS = ("steps", "runs", "entries", "tests", "cases", "results", "edits")
NAMES = ("name", "id", "step", "title", "test", "command", "file")
STATUSES = ("status", "result", "outcome", "state", "conclusion", "success", "passed", "ok")
SECONDS = ("seconds", "durationSeconds", "duration", "elapsed", "time")
MILLISECONDS = ("durationMs", "milliseconds", "ms", "duration_ms")
MESSAGES = ("message", "error", "reason", "detail")
WORDS = {
    CaseStatus.PASSED: "passed pass ok success succeeded successful done completed complete"
    " applied improved fixed finished true xpassed",
    CaseStatus.FAILED: "failed fail failure error errored broken timeout timed_out crashed"
    " cancelled canceled aborted rolled_back false",
    CaseStatus.SKIPPED: "skipped skip pending ignored noop no-op disabled neutral todo xfailed",
}
MEANING = {word: status for status, words in WORDS.items() for word in words.split()}


def read(body: bytes) -> Parsed:
    """The steps of a ledger, and the numbers beside them.

    Raises:
        Invalid: it has no steps, or one does not say how it went.
        TooLarge: it has too many steps.
    """
    document = _document(body)
    steps = document if isinstance(document, list) else _list_in(document)
    cases = gathered(_case(step, number) for number, step in enumerate(steps, 1))
    return Parsed(cases=cases, metrics=_numbers(document) if isinstance(document, dict) else {})


def _document(body: bytes) -> Any:  # noqa: ANN401 - whatever the JSON says
    lines = [line for line in body.splitlines()[: MOST_CASES + 2] if line.strip()]
    if len(lines) > 1 and all(line.strip()[:1] == b"{" for line in lines):
        return [decoded(line) for line in lines]
    return decoded(body)


def _list_in(document: Any) -> list[Any]:  # noqa: ANN401 - whatever the JSON says
    if isinstance(document, dict):
        for name in LISTS:
            if isinstance(document.get(name), list):
                found: list[Any] = document[name]
                return found
    raise unreadable(f"it is no list, nor has it one called {', '.join(LISTS)}")


def _case(step: Any, number: int) -> Case:  # noqa: ANN401 - whatever the JSON says
    if not isinstance(step, dict):
        raise unreadable(f"step {number} is no object")
    named = (step[key] for key in NAMES if isinstance(step.get(key), str | int))
    name = next((str(value) for value in named if value != ""), "")
    message = next((step[key] for key in MESSAGES if isinstance(step.get(key), str)), "")
    return Case(
        name=(name or f"step {number}")[:LONGEST_NAME],
        status=_status(step, number),
        seconds=_seconds(step),
        message=message[:LONGEST_MESSAGE],
    )


def _status(step: dict[str, Any], number: int) -> CaseStatus:
    told = [step[key] for key in STATUSES if isinstance(step.get(key), str | bool)]
    for value in told:
        meant = MEANING.get(str(value).strip().lower())
        if meant is not None:
            return meant
    known = f"{told[0]!r}"[:60] if told else "no status"
    raise unreadable(f"step {number} has {known}; passed, failed and skipped are understood")


def _seconds(step: dict[str, Any]) -> float:
    for keys, scale in ((SECONDS, 1.0), (MILLISECONDS, 0.001)):
        for key in keys:
            value = number_of(step.get(key))
            if value is not None and value >= 0:
                return value * scale
    return 0.0


def _numbers(document: dict[str, Any]) -> dict[str, float]:
    told = ((key, number_of(value)) for key, value in document.items())
    found = [(key, value) for key, value in told if value is not None]
    return {key[:LONGEST_NAME]: value for key, value in found[:MOST_METRICS]}
