"""Shapes of runbooks."""

from pydantic import Field

from mainstay_server.kernel.web import Answer, Body
from mainstay_server.kernel.web.bodies import Instant

LONGEST_NAME = 100
LONGEST_BODY = 20_000


class NewRunbook(Body):
    """What to do when an alert fires, in Markdown; `{{ message }}` stands for the alert's own."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, examples=["Checkout is slow"])
    body: str = Field(
        max_length=LONGEST_BODY, examples=["# {{ project }} is slow\n\n1. Look at the queue."]
    )


class RunbookChange(Body):
    """What to change of a runbook; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    body: str | None = Field(None, max_length=LONGEST_BODY)


class RunbookAnswer(Answer):
    """One runbook."""

    id: str
    name: str
    body: str
    changed_at: Instant


class RunbookList(Answer):
    """The runbooks of a project, by name."""

    runbooks: list[RunbookAnswer]
    next_cursor: str | None = None
