"""Feeds: what was said on a page, as RSS 2.0, as Atom (RFC 4287), and in OpenStatus' JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from xml.etree import ElementTree as ET

import msgspec

from mainstay_server.areas.status_pages.models import ComponentStatus, Impact
from mainstay_server.areas.status_pages.schemas.facts import PageFacts, ReportFacts
from mainstay_server.kernel.clock import rfc3339

from .standing import overall_of
from .words import Words
from .xml import legal

MOST_ENTRIES = 50
ATOM = "http://www.w3.org/2005/Atom"
# What OpenStatus calls a page as a whole.
OPENSTATUS = {
    Impact.NONE: "operational",
    Impact.MINOR: "degraded_performance",
    Impact.MAJOR: "partial_outage",
    Impact.CRITICAL: "major_outage",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One update, as a feed tells it."""

    id: str
    title: str
    url: str
    html: str
    at: datetime


def entries_of(facts: PageFacts) -> list[Entry]:
    """The 50 newest updates of incidents and maintenances, the newest first."""
    found = sorted(_entries(facts), key=lambda entry: (entry.at, entry.id), reverse=True)
    return found[:MOST_ENTRIES]


def rss(facts: PageFacts) -> bytes:
    """The page's updates as RSS 2.0."""
    words = Words(facts.language, facts.time_zone)
    root = ET.Element("rss", {"version": "2.0", "xmlns:atom": ATOM})
    channel = ET.SubElement(root, "channel")
    _text(channel, "title", words("status_of", name=facts.name))
    _text(channel, "link", facts.url)
    _text(channel, "description", words("status_of", name=facts.name))
    _text(channel, "language", facts.language)
    _text(channel, "lastBuildDate", format_datetime(facts.changed_at))
    ET.SubElement(
        channel,
        "atom:link",
        {"href": f"{facts.url}/feed.rss", "rel": "self", "type": "application/rss+xml"},
    )
    for entry in entries_of(facts):
        item = ET.SubElement(channel, "item")
        _text(item, "title", entry.title)
        _text(item, "link", entry.url)
        _text(item, "description", entry.html)
        _text(item, "pubDate", format_datetime(entry.at))
        ET.SubElement(item, "guid", {"isPermaLink": "false"}).text = f"urn:uuid:{entry.id}"
    return _bytes(root)


def atom(facts: PageFacts) -> bytes:
    """The page's updates as Atom."""
    words = Words(facts.language, facts.time_zone)
    found = entries_of(facts)
    root = ET.Element("feed", {"xmlns": ATOM, "xml:lang": facts.language})
    _text(root, "id", f"urn:uuid:{facts.id}")
    _text(root, "title", words("status_of", name=facts.name))
    _text(root, "updated", rfc3339(found[0].at if found else facts.changed_at))
    ET.SubElement(root, "link", {"href": facts.url})
    ET.SubElement(root, "link", {"rel": "self", "href": f"{facts.url}/feed.atom"})
    _text(ET.SubElement(root, "author"), "name", facts.name)
    for entry in found:
        item = ET.SubElement(root, "entry")
        _text(item, "id", f"urn:uuid:{entry.id}")
        _text(item, "title", entry.title)
        _text(item, "updated", rfc3339(entry.at))
        ET.SubElement(item, "link", {"href": entry.url})
        ET.SubElement(item, "content", {"type": "html"}).text = legal(entry.html)
    return _bytes(root)


def openstatus(facts: PageFacts) -> bytes:
    """The page in the shape of OpenStatus' feed; `status` alone is its public status."""
    overall = overall_of(facts)
    status = OPENSTATUS[overall.indicator]
    if overall.indicator is Impact.NONE and overall.in_maintenance:
        status = "under_maintenance"
    return msgspec.json.encode(
        {
            "title": facts.name,
            "description": facts.description,
            "status": status,
            "updatedAt": rfc3339(facts.made_at),
            "monitors": [],
            "pageComponents": [
                {
                    "id": each.id,
                    "name": each.name,
                    "description": each.description,
                    "status": each.status,
                    "groupId": each.group_id or None,
                }
                for each in facts.components
                if each.status is not ComponentStatus.UNKNOWN
            ],
            "pageComponentGroups": [{"id": each.id, "name": each.name} for each in facts.groups],
            "maintenances": [
                {
                    "id": each.id,
                    "title": each.title,
                    "message": each.updates[-1].body if each.updates else "",
                    "from": rfc3339(each.starts_at),
                    "to": rfc3339(each.ends_at),
                }
                for each in facts.maintenances[:MOST_ENTRIES]
            ],
            "statusReports": [_openstatus_report(each) for each in facts.reports[:MOST_ENTRIES]],
        }
    )


def _openstatus_report(report: ReportFacts) -> dict[str, object]:
    return {
        "id": report.id,
        "title": report.title,
        "status": report.status,
        "statusReportUpdates": [
            {"status": update.status, "message": update.body, "date": rfc3339(update.said_at)}
            for update in report.updates
        ],
    }


def _entries(facts: PageFacts) -> Iterator[Entry]:
    words = Words(facts.language, facts.time_zone)
    for report in facts.reports:
        for update in report.updates:
            yield Entry(
                id=update.id,
                title=f"{report.title}: {words(update.status)}",
                url=f"{facts.url}/incidents/{report.id}",
                html=update.html,
                at=update.said_at,
            )
    for maintenance in facts.maintenances:
        for update in maintenance.updates:
            span = words(
                "from_to",
                start=words.moment(maintenance.starts_at),
                end=words.moment(maintenance.ends_at),
            )
            yield Entry(
                id=update.id,
                title=f"{maintenance.title}: {words(update.status)}",
                url=facts.url,
                html=f"<p>{span}</p>{update.html}",
                at=update.said_at,
            )


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = legal(text)


def _bytes(root: ET.Element) -> bytes:
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return made
