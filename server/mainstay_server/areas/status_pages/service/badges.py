"""Badges: how something is, or how long it was up, as a small picture or as JSON."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from mainstay_server.areas.status_pages.models import ComponentStatus, Impact
from mainstay_server.areas.status_pages.schemas.facts import ComponentFacts, PageFacts
from mainstay_server.kernel.settings import secret_key

from .standing import overall_of
from .words import Words
from .xml import legal

Kind = Literal["page", "component", "check"]
KINDS: tuple[Kind, ...] = ("page", "component", "check")
FORMS = {"svg": "image/svg+xml", "json": "application/json", "shields.json": "application/json"}
ABOUT = ("status", "uptime")
SIGNATURE_CHARACTERS = 16  # 96 bits

# White text on each of them has a contrast of 4.5 at least (WCAG 2.2, 1.4.3).
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = (
    "#16794c",
    "#8a6100",
    "#b04a00",
    "#c81e3a",
    "#2360c4",
    "#5b6672",
)
LABEL = "#3b444d"
COLOURS = {
    ComponentStatus.OPERATIONAL: GREEN,
    ComponentStatus.DEGRADED: YELLOW,
    ComponentStatus.PARTIAL_OUTAGE: ORANGE,
    ComponentStatus.MAJOR_OUTAGE: RED,
    ComponentStatus.MAINTENANCE: BLUE,
    ComponentStatus.UNKNOWN: GREY,
}
OF_INDICATOR = {
    Impact.NONE: ComponentStatus.OPERATIONAL,
    Impact.MINOR: ComponentStatus.DEGRADED,
    Impact.MAJOR: ComponentStatus.PARTIAL_OUTAGE,
    Impact.CRITICAL: ComponentStatus.MAJOR_OUTAGE,
}
GOOD_PERCENT, FAIR_PERCENT = 99.9, 99.0
# A sans-serif of 11 px is about this wide; `textLength` makes it exactly that everywhere.
WIDTH_OF_CHARACTER = 6.6


@dataclass(frozen=True, kw_only=True)
class Badge:
    """What a badge says."""

    label: str
    message: str
    colour: str
    status: ComponentStatus
    uptime: float | None

    @property
    def is_error(self) -> bool:
        """Whether shields should draw it as something that went wrong."""
        return self.status in (ComponentStatus.PARTIAL_OUTAGE, ComponentStatus.MAJOR_OUTAGE)


def signature_of(page_id: str, kind: Kind, one: str, version: int) -> str:
    """What stands in a badge's path, so that nobody guesses the path of another.

    Another `version` gives every badge of the page another path.
    """
    named = f"status badge:{page_id}:{version}:{kind}:{one}".encode()
    digest = hmac.digest(secret_key(), named, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode()[:SIGNATURE_CHARACTERS]


def is_signed(signature: str, page_id: str, kind: Kind, one: str, version: int) -> bool:
    """Whether the signature is the one of a badge, compared in a time that tells nothing."""
    expected = signature_of(page_id, kind, one, version)
    return hmac.compare_digest(signature.encode(), expected.encode())


def badge_of(facts: PageFacts, kind: Kind, one: str, about: str) -> Badge | None:
    """What a badge of the page, of a component or of a check says; None when it is not there."""
    words = Words(facts.language, facts.time_zone)
    if kind == "page":
        status, uptime, label = _of_page(facts)
    else:
        component = _component(facts, kind, one)
        if component is None:
            return None
        status, uptime, label = component.status, component.uptime, component.name
    if about == "uptime":
        message = words("unknown") if uptime is None else words.percent(uptime)
        return Badge(
            label=label, message=message, colour=_of_uptime(uptime), status=status, uptime=uptime
        )
    return Badge(
        label=label,
        message=words(status.value).lower(),
        colour=COLOURS[status],
        status=status,
        uptime=uptime,
    )


def drawn(badge: Badge, form: str) -> bytes:
    """The badge as SVG, as JSON, or for shields' endpoint badge."""
    if form == "svg":
        return _svg(badge).encode()
    if form == "shields.json":
        shields = {
            "schemaVersion": 1,
            "label": badge.label,
            "message": badge.message,
            "color": badge.colour,
            "isError": badge.is_error,
        }
        return msgspec.json.encode(shields)
    return msgspec.json.encode(
        {
            "label": badge.label,
            "message": badge.message,
            "status": badge.status,
            "uptime": None if badge.uptime is None else round(badge.uptime, 4),
        }
    )


def _component(facts: PageFacts, kind: Kind, one: str) -> ComponentFacts | None:
    if kind == "component":
        return next((each for each in facts.components if each.id == one), None)
    return next((each for each in facts.components if one and each.subject_id == one), None)


def _of_page(facts: PageFacts) -> tuple[ComponentStatus, float | None, str]:
    overall = overall_of(facts)
    status = OF_INDICATOR[overall.indicator]
    if not overall.is_known:
        status = ComponentStatus.UNKNOWN
    elif overall.indicator is Impact.NONE and overall.in_maintenance:
        status = ComponentStatus.MAINTENANCE
    known = [each.uptime for each in facts.components if each.uptime is not None]
    return status, (sum(known) / len(known) if known else None), facts.name


def _of_uptime(uptime: float | None) -> str:
    if uptime is None:
        return GREY
    if uptime >= GOOD_PERCENT:
        return GREEN
    return YELLOW if uptime >= FAIR_PERCENT else RED


def _svg(badge: Badge) -> str:
    label, message = legal(badge.label[:60]), legal(badge.message[:60])
    left, right = _width(label), _width(message)
    name = quoteattr(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f" aria-label={name}><title>{escape(f'{label}: {message}')}</title>"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="{LABEL}"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{badge.colour}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="6" y="14" textLength="{left - 12}">{escape(label)}</text>'
        f'<text x="{left + 6}" y="14" textLength="{right - 12}">{escape(message)}</text>'
        "</g></svg>"
    )


def _width(text: str) -> int:
    return round(len(text) * WIDTH_OF_CHARACTER) + 12
