"""The search box of issues: words and `key:value` terms, and what they select."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mainstay_server.areas.errors.columns import RETENTION_DAYS
from mainstay_server.areas.errors.models import Issue, Status
from mainstay_server.areas.errors.schemas import LONGEST_QUERY
from mainstay_server.kernel import columns
from mainstay_server.kernel.problems import Invalid

from .grouping import LEVELS

MOST_TERMS = 20
MOST_ISSUES = 5_000
IN_EVERY_EVENT = (
    "environment", "logger", "release", "server_name", "transaction",
    "user.email", "user.id", "user.ip", "user.username",
)  # fmt: skip
HELP = (
    "Write words of the title, is:unresolved, level:error, release:1.2, environment:…,"
    " user.email:…, any tag as tag:value, has:tag; ! in front of a term turns it around and *"
    " stands for any text."
)

_TERM = re.compile(r'(?P<not>!?)(?:(?P<key>[\w.\-]+):)?(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+))')


@dataclass(frozen=True)
class Term:
    """One `key:value`; an empty key is a word of the title."""

    key: str
    value: str
    negated: bool


@dataclass(frozen=True)
class Search:
    """What somebody looks for: terms about the issue, and terms about its events."""

    of_issue: tuple[Term, ...] = ()
    of_events: tuple[Term, ...] = ()

    def with_status(self, status: str) -> "Search":
        """The same, among the issues of one status."""
        term = Term("is", status, negated=False)
        return Search((*self.of_issue, term), self.of_events)


def parse_search(query: str) -> Search:
    """Read a search box. Raises `Invalid` with the next step for what makes no sense."""
    if len(query) > LONGEST_QUERY:
        raise Invalid(f"The search is longer than {LONGEST_QUERY} characters; shorten it.")
    terms = [_term(found) for found in _TERM.finditer(query)]
    if len(terms) > MOST_TERMS:
        raise Invalid(f"The search has more than {MOST_TERMS} terms; leave some out.")
    of_issue = tuple(term for term in terms if term.key in ("", "is", "level"))
    return Search(of_issue, tuple(term for term in terms if term not in of_issue))


def issue_conditions(search: Search) -> list[sa.ColumnElement[bool]]:
    """The terms about issues, as conditions on their table."""
    return [
        sa.not_(condition) if term.negated else condition
        for term in search.of_issue
        for condition in (_condition(term),)
    ]


def issues_with_events(project_id: str, terms: Sequence[Term], *, now: datetime) -> list[str]:
    """The issues that have an event to which all the terms apply, at most 5,000, latest first.

    Raises `Invalid` for a tag that no event of the project has.
    """
    wanted: list[str] = []
    parameters: dict[str, Any] = {}
    for position, term in enumerate(terms):
        condition, values = _event_condition(term, position)
        wanted.append(f"NOT ({condition})" if term.negated else condition)
        parameters |= values
    rows = columns.query(
        "SELECT issue_id FROM error_events WHERE project_id = {project:String}"  # noqa: S608 - values are parameters
        f" AND received_at >= {{since:DateTime64(3)}} AND {' AND '.join(wanted)}"
        " GROUP BY issue_id ORDER BY max(received_at) DESC LIMIT {most:UInt32}",
        project=project_id,
        since=now - timedelta(days=RETENTION_DAYS),
        most=MOST_ISSUES,
        **parameters,
    )
    if not rows:
        _refuse_unknown_tags(project_id, terms)
    return [row["issue_id"] for row in rows]


def _term(found: re.Match[str]) -> Term:
    key, value = found["key"] or "", found["quoted"]
    value = found["bare"] or "" if value is None else value
    term = Term(key, value, bool(found["not"]))
    if key == "is" and value not in tuple(Status):
        raise Invalid(f"is:{value} is no status; write is:unresolved, is:resolved or is:ignored.")
    if key == "level" and value not in LEVELS:
        raise Invalid(f"level:{value} is no level; write one of {', '.join(LEVELS)}.")
    if key == "" and value.endswith(":"):
        raise Invalid(f"{value} has no value; write one behind the colon. {HELP}")
    return term


def _condition(term: Term) -> sa.ColumnElement[bool]:
    if term.key == "is":
        return Issue.status == term.value
    if term.key == "level":
        return Issue.level == term.value
    return sa.or_(
        Issue.title.icontains(term.value, autoescape=True),
        Issue.culprit.icontains(term.value, autoescape=True),
    )


def _event_condition(term: Term, position: int) -> tuple[str, dict[str, Any]]:
    key, value = f"key{position}", f"value{position}"
    if term.key == "has":
        if term.value == "user":
            return "user_key != ''", {}
        return f"mapContains(tags, {{{key}:String}})", {key: term.value}
    if "*" in term.value:
        pattern = re.sub(r"([\\%_])", r"\\\1", term.value).replace("*", "%")
        return f"tags[{{{key}:String}}] LIKE {{{value}:String}}", {key: term.key, value: pattern}
    return f"tags[{{{key}:String}}] = {{{value}:String}}", {key: term.key, value: term.value}


def _refuse_unknown_tags(project_id: str, terms: Iterable[Term]) -> None:
    for term in terms:
        tag = term.value if term.key == "has" else term.key
        if tag in IN_EVERY_EVENT or tag == "user":
            continue
        known = columns.query(
            "SELECT 1 FROM error_events WHERE project_id = {project:String}"
            " AND mapContains(tags, {tag:String}) LIMIT 1",
            project=project_id,
            tag=tag,
        )
        if not known:
            raise Invalid(f"No event of this project has a tag {tag!r}. {HELP}")
