"""Uptime Kuma: its SQLite database, of version 1 or 2, read and never written."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from . import telling
from .drafts import Draft, Secret, Unreadable, interval, tags_of, timeout
from .kuma_maintenance import add_maintenance
from .kuma_monitors import CHECKS, read_json

Row = Mapping[str, Any]

MOST_ROWS = 20_000
USUAL_EXPIRY = [7, 14, 21]
NO_KIND = {
    "docker": "containers are not asked; watch what they serve",
    "mqtt": "MQTT is not asked; watch its port",
    "steam": "game servers are not asked",
    "gamedig": "game servers are not asked",
    "kafka-producer": "Kafka is not asked; watch its port",
    "rabbitmq": "RabbitMQ is asked best over HTTP: /api/health/checks/alarms",
    "radius": "RADIUS is not asked",
    "sqlserver": "SQL Server is not asked; watch its port",
    "mongodb": "MongoDB is not asked; watch its port",
    "snmp": "SNMP is not asked",
    "tailscale-ping": "Tailscale is not asked; ping the address",
    "manual": "a state that people set is no check",
}


CHANNELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "slack": ("slack", ("slackwebhookURL",)),
    "webhook": ("webhook", ("webhookURL",)),
    "smtp": ("email", ("smtpTo",)),
    "PagerDuty": ("pagerduty", ("pagerdutyIntegrationKey",)),
    "discord": ("discord", ("discordWebhookUrl",)),
    "telegram": ("telegram", ("telegramBotToken", "telegramChatID")),
    "ntfy": ("ntfy", ("ntfyserverurl", "ntfytopic", "ntfyaccesstoken")),
    "gotify": ("gotify", ("gotifyserverurl", "gotifyapplicationToken")),
    "apprise": ("apprise", ("appriseURL",)),
}


def read_kuma(file: Path, *, environment: str) -> Draft:
    """What a Kuma database holds, as a document. Raises `Unreadable`."""
    draft = Draft(environment)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            opened.row_factory = sqlite3.Row
            _read(opened, draft)
    except sqlite3.Error as error:
        raise Unreadable(f"{file} is no database of Uptime Kuma: {error}") from error
    draft.note("history", "what Kuma measured stays in Kuma")
    return draft


def _read(database: sqlite3.Connection, draft: Draft) -> None:
    monitors = {row["id"]: row for row in _rows(database, "monitor")}
    if not monitors and not _has(database, "monitor"):
        raise Unreadable("This database has no monitors; give kuma.db from Kuma's data folder.")
    tags = _tags(database)
    expiry = _expiry_days(database)
    names: dict[int, str] = {}
    for row in monitors.values():
        common = {
            "intervalSeconds": interval(row.get("interval") or 60),
            "timeoutSeconds": _timeout(row),
            "failAfter": min(int(row.get("maxretries") or 0) + 1, 100),
            "tags": tags_of(*_groups(row, monitors), *tags.get(row["id"], ())) or None,
            "paused": None if row.get("active") else True,
        }
        names[row["id"]] = _add_monitor(draft, row, common, expiry)
    _add_channels(database, draft)
    covered = _covered(database, draft.environment, names)
    for row in _rows(database, "maintenance"):
        add_maintenance(draft, row, covered.get(row["id"], []))
    for row in _rows(database, "status_page"):
        draft.note(f"status page {row['title']}", "make it anew; its monitors keep their names")
    for row in _rows(database, "proxy"):
        draft.note(f"proxy {row['host']}", "checks ask without a proxy")


def _covered(
    database: sqlite3.Connection, environment: str, names: Mapping[int, str]
) -> dict[int, list[str]]:
    """What each maintenance covers, as its subjects here are named."""
    covered: dict[int, list[str]] = {}
    for row in _rows(database, "monitor_maintenance"):
        name = names.get(row["monitor_id"])
        if name:
            covered.setdefault(row["maintenance_id"], []).append(f"{environment}/{name}")
    return covered


def _add_monitor(draft: Draft, row: Row, common: Row, expiry: list[int]) -> str:
    """Add a monitor; gives its name in the document, or "" for what is no check here."""
    kind, about = str(row.get("type")), f"monitor {row['name']}"
    if kind == "group":
        draft.note(about, "a group is a tag of what is in it")
        return ""
    if kind == "push":
        return _add_push(draft, row, common)
    if kind in NO_KIND or kind not in CHECKS:
        draft.note(about, NO_KIND.get(kind, f"the type {kind} is not known here"))
        return ""
    if row.get("upside_down"):
        draft.note(about, "was upside down; say the opposite by a condition")
    if row.get("resend_interval"):
        draft.note(about, "tells once and at its end, not again and again")
    try:
        thing = CHECKS[kind](draft, row)
    except ValueError as error:
        draft.note(about, str(error))
        return ""
    expiry_days: dict[str, Any] = {} if row.get("expiry_notification", 1) else {"expiryDays": []}
    if not expiry_days and expiry != USUAL_EXPIRY:
        expiry_days = {"expiryDays": expiry}
    return draft.add("healthChecks", str(row["name"]), {**thing, **common, **expiry_days})


def _add_push(draft: Draft, row: Row, common: Row) -> str:
    retries = int(row.get("maxretries") or 0)
    again = row.get("retry_interval") or row.get("interval") or 60
    return draft.add(
        "heartbeats",
        str(row["name"]),
        {
            "pushToken": Secret(str(row["push_token"])) if row.get("push_token") else None,
            "periodSeconds": max(int(row.get("interval") or 60), 1),
            "graceSeconds": max(retries * int(again), 10),
            "tags": [tag.replace(" ", "-")[:40] for tag in common["tags"] or ()] or None,
            "description": row.get("description") or None,
            "paused": common["paused"],
        },
    )


def _add_channels(database: sqlite3.Connection, draft: Draft) -> None:
    for row in _rows(database, "notification"):
        name, config = str(row["name"]), read_json(row.get("config"), {})
        if not row.get("active", 1):
            draft.note(f"channel {name}", "is switched off")
            continue
        _add_channel(draft, name, config)
    if any(True for _ in _rows(database, "monitor_notification")):
        draft.note("channels", "hear of every check of the instance, not of chosen monitors")


def _add_channel(draft: Draft, name: str, config: Mapping[str, Any]) -> None:
    kind = str(config.get("type", ""))
    ours, fields = CHANNELS.get(kind, ("", ()))
    if not ours:
        draft.note(f"channel {name}", f"{kind} is told by an Apprise URL; add it by hand")
        return
    telling.add(draft, name, ours, [str(config.get(field) or "") for field in fields])


def _rows(database: sqlite3.Connection, table: str) -> list[Row]:
    """The rows of a table with the columns that this version of Kuma has; none without it."""
    if not _has(database, table):
        return []
    # The names are our own.
    found = database.execute(f'SELECT * FROM "{table}" ORDER BY 1 LIMIT {MOST_ROWS + 1}')  # noqa: S608
    rows: list[Row] = [dict(row) for row in found]
    if len(rows) > MOST_ROWS:
        raise Unreadable(f"Kuma's table {table} has more than {MOST_ROWS:,} rows.")
    return rows


def _has(database: sqlite3.Connection, table: str) -> bool:
    asked = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return database.execute(asked, (table,)).fetchone() is not None


def _tags(database: sqlite3.Connection) -> dict[int, list[str]]:
    names = {row["id"]: str(row["name"]) for row in _rows(database, "tag")}
    found: dict[int, list[str]] = {}
    for row in _rows(database, "monitor_tag"):
        name, value = names.get(row["tag_id"], ""), str(row.get("value") or "")
        found.setdefault(row["monitor_id"], []).append(f"{name}:{value}" if value else name)
    return found


def _groups(row: Row, monitors: Mapping[int, Row]) -> list[str]:
    """The names of the groups that a monitor is in, the outermost first."""
    found: list[str] = []
    seen: set[int] = set()
    parent = monitors.get(row.get("parent") or 0)
    while parent is not None and parent["id"] not in seen:
        seen.add(parent["id"])
        found.insert(0, str(parent["name"]))
        parent = monitors.get(parent.get("parent") or 0)
    return found


def _expiry_days(database: sqlite3.Connection) -> list[int]:
    for row in _rows(database, "setting"):
        if row["key"] == "tlsExpiryNotifyDays":
            days = read_json(row.get("value"), USUAL_EXPIRY)
            return sorted(int(day) for day in days if 1 <= int(day) <= 365)[:10]  # noqa: PLR2004
    return USUAL_EXPIRY


def _timeout(row: Row) -> int:
    """Version 1 has none of its own: it gives up after four fifths of the interval."""
    own = row.get("timeout") or 0
    every = row.get("interval") or 60
    return min(timeout(own or every * 0.8), interval(every))
