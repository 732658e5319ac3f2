"""Rendering: the documents of a page from its facts, each as bytes that need no request."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from mainstay_server.areas.status_pages.models import Impact
from mainstay_server.areas.status_pages.schemas.colours import lightened_to
from mainstay_server.areas.status_pages.schemas.facts import ComponentFacts, PageFacts, ReportFacts
from mainstay_server.kernel.clock import rfc3339
from mainstay_server.ui.drawings import spark
from mainstay_server.ui.formats import duration_ms
from mainstay_server.ui.rendering import environment

from . import badges, feeds, statuspage
from .standing import ahead, is_shown, open_reports, overall_of, under_way
from .words import Words

HTML = "text/html; charset=utf-8"
JSON = "application/json"
RECENT_DAYS = 14
MOST_RECENT = 20
DARK_GROUND = "#222a32"  # the lightest that a link may stand on in the dark
V2 = "api/v2/"


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One document: its bytes and the headers that belong to them alone."""

    media_type: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Some components under a heading; an empty name for those without one."""

    name: str
    components: list[ComponentFacts]


def render(facts: PageFacts, name: str, *, base: str, as_of: datetime | None) -> Rendered | None:
    """The document of a name (`""` is the page itself); None when there is no such one.

    `base` is the path under which the page is reached: "" at its own host. With `as_of` it says
    that nothing newer is known.
    """
    if name.startswith(V2):
        body = statuspage.document(facts, name.removeprefix(V2))
        return None if body is None else _data(JSON, body, as_of)
    if name in _FEEDS:
        media_type, make = _FEEDS[name]
        return _data(media_type, make(facts), as_of)
    return _page(facts, name, base=base, as_of=as_of)


def names_of(facts: PageFacts) -> list[str]:
    """Every document of a page, for those who keep all of them."""
    months = [f"history/{month:%Y-%m}" for month in _months(facts)]
    reports = [f"incidents/{report.id}" for report in facts.reports]
    documents = [f"{V2}{name}" for name in statuspage.names()]
    return ["", "history", *months, *reports, *documents, *_FEEDS]


def message(
    facts: PageFacts,
    kind: str,
    *,
    base: str,
    as_of: datetime | None = None,
    **context: Any,  # noqa: ANN401 - whatever the template shows
) -> Rendered:
    """A page that answers somebody: to a subscription, or to a password."""
    return _html(facts, "message", base=base, as_of=as_of, kind=kind, **context)


def content_security_policy(facts: PageFacts) -> str:
    """What the page may load: its own one style, its own pictures, nothing else, no script."""
    style = _style(facts.accent, facts.theme)
    return (
        f"default-src 'none'; style-src '{style.digest}'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    )


def _status_alone(facts: PageFacts) -> bytes:
    whole = msgspec.json.decode(feeds.openstatus(facts))
    return msgspec.json.encode({"status": whole["status"]})


def _icon(facts: PageFacts) -> bytes:
    """What stands in a browser's tab: a disc in the colour of how it is."""
    badge = badges.badge_of(facts, "page", facts.id, "status")
    assert badge is not None, "every page has a state"
    disc = f'<circle cx="8" cy="8" r="7" fill="{badge.colour}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{disc}</svg>'.encode()


_FEEDS: Mapping[str, tuple[str, Callable[[PageFacts], bytes]]] = {
    "feed.rss": ("application/rss+xml; charset=utf-8", feeds.rss),
    "feed.atom": ("application/atom+xml; charset=utf-8", feeds.atom),
    "feed.json": (JSON, feeds.openstatus),
    "status.json": (JSON, _status_alone),
    "icon.svg": ("image/svg+xml", _icon),
}


def _data(media_type: str, body: bytes, as_of: datetime | None) -> Rendered:
    headers = {"access-control-allow-origin": "*"}
    if as_of is not None:
        headers["x-mainstay-as-of"] = rfc3339(as_of)
    return Rendered(media_type=media_type, body=body, headers=headers)


def _page(facts: PageFacts, name: str, *, base: str, as_of: datetime | None) -> Rendered | None:
    kind, _, rest = name.partition("/")
    if name == "":
        return _html(facts, "index", base=base, as_of=as_of, **_index(facts))
    if kind == "incidents":
        report = next((each for each in facts.reports if each.id == rest), None)
        if report is not None:
            return _html(facts, "report", base=base, as_of=as_of, report=report)
    if kind == "history":
        months = _months(facts)
        month = months[0] if not rest else _month(rest)
        if month in months:
            return _html(facts, "history", base=base, as_of=as_of, **_history(facts, month, months))
    return None


def _html(
    facts: PageFacts, template: str, *, base: str, as_of: datetime | None, **context: object
) -> Rendered:
    page = environment().get_template(f"status_pages/public/{template}.html")
    words = Words(facts.language, facts.time_zone)
    text = page.render(
        facts=facts,
        base=base,
        as_of=as_of,
        words=words,
        style=_style(facts.accent, facts.theme).text,
        names={component.id: component.name for component in facts.components},
        curve=_curve,
        **context,
    )
    headers = {"content-security-policy": content_security_policy(facts)}
    return Rendered(media_type=HTML, body=text.encode(), headers=headers)


def _index(facts: PageFacts) -> dict[str, Any]:
    overall = overall_of(facts)
    tone = overall.indicator.value
    if not overall.is_known:
        tone = "unknown"
    elif overall.indicator is Impact.NONE and overall.in_maintenance:
        tone = "maintenance"
    return {
        "tone": tone,
        "sections": _sections(facts),
        "current": open_reports(facts),
        "planned": [*under_way(facts), *ahead(facts)],
        "recent": _recent(facts),
    }


def _sections(facts: PageFacts) -> list[Section]:
    shown = [component for component in facts.components if is_shown(component)]
    known = {group.id for group in facts.groups}
    loose = [each for each in shown if each.group_id not in known]
    grouped = [
        Section(name=group.name, components=[c for c in shown if c.group_id == group.id])
        for group in facts.groups
    ]
    sections = [Section(name="", components=loose), *grouped]
    return [section for section in sections if section.components]


def _recent(facts: PageFacts) -> list[ReportFacts]:
    """What was over within the last two weeks."""
    return [
        report
        for report in facts.reports
        if report.resolved_at and (facts.made_at - report.resolved_at).days < RECENT_DAYS
    ][:MOST_RECENT]


def _months(facts: PageFacts) -> list[date]:
    """The months that have something to tell, and the present one; the newest first."""
    words = Words(facts.language, facts.time_zone)
    moments = [facts.made_at, *(report.started_at for report in facts.reports)]
    return sorted({words.local(at).date().replace(day=1) for at in moments}, reverse=True)


def _month(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        return None


def _history(facts: PageFacts, month: date, months: list[date]) -> dict[str, Any]:
    words = Words(facts.language, facts.time_zone)
    place = months.index(month)
    return {
        "month": month,
        "older": months[place + 1] if place + 1 < len(months) else None,
        "newer": months[place - 1] if place else None,
        "told": [
            report
            for report in facts.reports
            if words.local(report.started_at).date().replace(day=1) == month
        ],
    }


def _curve(component: ComponentFacts) -> dict[str, Any] | None:
    """A component's response times as paths, with the least and the most in words."""
    if component.chart is None:
        return None
    known = [value for value in component.chart.values if value is not None]
    drawn = spark(component.chart.values)
    if drawn is None:
        return None
    low, high = duration_ms(min(known)), duration_ms(max(known))
    return {"line": drawn.line, "area": drawn.area, "low": low, "high": high}


@dataclass(frozen=True, kw_only=True)
class _Style:
    text: str
    digest: str


@lru_cache(maxsize=256)
def _style(accent: str, theme: str) -> _Style:
    """The one style sheet of a page, and its digest for the policy."""
    template = environment().get_template("status_pages/public/style.html")
    dark = lightened_to(accent, against=DARK_GROUND)
    text = template.render(accent=accent, dark_accent=dark, theme=theme)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return _Style(text=text, digest=f"sha256-{digest}")
