"""Uptime Kuma: its SQLite database, of version 1 or 2, read and never written."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import telling
from .drafts import Draft, Secret, Unreadable, interval, tags_of, timeout
from .kuma_maintenance import add_maintenance

Row = Mapping[str, Any]

MOST_ROWS = 20_000
USUAL_EXPIRY = [7, 14, 21]
CONTENT_TYPES = {
    "json": "application/json",
    "xml": "text/xml; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
}
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


def _http(draft: Draft, row: Row) -> dict[str, Any]:
    about = f"monitor {row['name']}"
    config: dict[str, Any] = {"healthDocument": False}
    method = str(row.get("method") or "GET").upper()
    if method != "GET":
        config["method"] = method
    headers = _headers(draft, row)
    if row.get("body"):
        config["body"] = row["body"]
        encoding = row.get("http_body_encoding") or "json"
        headers.setdefault("content-type", CONTENT_TYPES.get(encoding, CONTENT_TYPES["json"]))
    signs_in = row.get("auth_method") or ("basic" if row.get("basic_auth_user") else "")
    if signs_in == "basic":
        config["username"] = row.get("basic_auth_user") or ""
        config["password"] = Secret(row.get("basic_auth_pass") or "")
    elif signs_in:
        draft.note(about, f"signed in by {signs_in}, which checks do not")
    _add_secret_headers(config, headers)
    statuses = _json(row.get("accepted_statuscodes_json"), [])
    config["acceptedStatuses"] = [str(each) for each in statuses] or None
    if row.get("maxredirects") == 0:
        config["followRedirects"] = False
    if row.get("ignore_tls"):
        config["verifyTls"] = False
    if row.get("ip_family") in ("ipv4", "ipv6"):
        config["ipVersion"] = row["ip_family"][-1]
    thing = {"url": str(row["url"]), "config": config}
    conditions = _conditions(draft, row)
    return {**thing, "conditions": conditions} if conditions else thing


def _headers(draft: Draft, row: Row) -> dict[str, str]:
    headers = _json(row.get("headers"), {})
    if not isinstance(headers, dict):
        draft.note(f"monitor {row['name']}", "its headers could not be read")
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _add_secret_headers(config: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Headers in the open, but for those whose value opens something."""
    plain, secrets = {}, {}
    for name, value in headers.items():
        if any(word in name for word in ("auth", "key", "token", "secret", "cookie")):
            variable = "".join(c if c.isalnum() else "_" for c in name)
            plain[name], secrets[variable] = "{{" + variable + "}}", Secret(value)
        else:
            plain[name] = value
    if plain:
        config["headers"] = plain
    if secrets:
        config["secrets"] = secrets


def _conditions(draft: Draft, row: Row) -> list[str]:
    if row["type"] == "keyword" and row.get("keyword"):
        sign = "!=" if row.get("invert_keyword") else "=="
        return [f"[BODY] {sign} pat(*{row['keyword']}*)"]
    if row["type"] == "json-query":
        path = str(row.get("json_path") or "").removeprefix("$").removeprefix(".")
        operator = row.get("json_path_operator") or "=="
        simple = path and all(part.isidentifier() for part in path.split("."))
        if simple and operator in ("==", "!=", ">", "<", ">=", "<="):
            return [f"[BODY].{path} {operator} {row.get('expected_value')}"]
        query = f"{row.get('json_path')} {operator} {row.get('expected_value')}"
        draft.note(f"monitor {row['name']}", f"say its query as a condition: {query}")
    return []


def _ping(draft: Draft, row: Row) -> dict[str, Any]:
    return {"kind": "icmp", "config": {"host": _host(row)}}


def _port(draft: Draft, row: Row) -> dict[str, Any]:
    return {"kind": "tcp", "config": {"host": _host(row), "port": _number(row, "port")}}


def _dns(draft: Draft, row: Row) -> dict[str, Any]:
    resolver = str(row.get("dns_resolve_server") or "").split(",")[0].strip()
    config = {
        "name": _host(row),
        "type": row.get("dns_resolve_type") or "A",
        "resolver": resolver or None,
        "port": int(row.get("port") or 53),
    }
    return {"kind": "dns", "config": config}


def _grpc(draft: Draft, row: Row) -> dict[str, Any]:
    host, _, port = str(row.get("grpc_url") or "").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("its gRPC address has no port")
    draft.note(f"monitor {row['name']}", "asks gRPC's own health service now, not a keyword")
    tls = bool(row.get("grpc_enable_tls"))
    return {"kind": "grpc", "config": {"host": host, "port": int(port), "tls": tls}}


def _smtp(draft: Draft, row: Row) -> dict[str, Any]:
    spoken = {"secure": "implicit", "starttls": "starttls"}
    tls = spoken.get(str(row.get("smtp_security") or ""), "off")
    config = {"host": _host(row), "port": int(row.get("port") or 25), "tls": tls}
    return {"kind": "smtp", "config": config}


def _websocket(draft: Draft, row: Row) -> dict[str, Any]:
    return {"kind": "websocket", "config": {"url": str(row["url"])}}


def _browser(draft: Draft, row: Row) -> dict[str, Any]:
    return {"kind": "browser", "config": {"url": str(row["url"])}}


def _database(kind: str) -> Callable[[Draft, Row], dict[str, Any]]:
    def of_connection(draft: Draft, row: Row) -> dict[str, Any]:
        parts = urlsplit(str(row.get("database_connection_string") or ""))
        if not parts.hostname:
            raise ValueError("its connection string names no host")
        usual = "postgres" if kind == "postgres" else None
        config: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port,
            "database": unquote(parts.path.lstrip("/")) or usual,
            "user": unquote(parts.username or "") or kind,
            "password": Secret(unquote(parts.password)) if parts.password else None,
            "query": row.get("database_query") or None,
        }
        return {"kind": kind, "config": config}

    return of_connection


def _redis(draft: Draft, row: Row) -> dict[str, Any]:
    parts = urlsplit(str(row.get("database_connection_string") or ""))
    if not parts.hostname:
        raise ValueError("its connection string names no host")
    config = {
        "host": parts.hostname,
        "port": parts.port,
        "tls": True if parts.scheme == "rediss" else None,
        "username": unquote(parts.username or "") or None,
        "password": Secret(unquote(parts.password)) if parts.password else None,
    }
    return {"kind": "redis", "config": config}


CHECKS: Mapping[str, Callable[[Draft, Row], dict[str, Any]]] = {
    "http": _http,
    "keyword": _http,
    "json-query": _http,
    "ping": _ping,
    "port": _port,
    "dns": _dns,
    "grpc-keyword": _grpc,
    "smtp": _smtp,
    "websocket-upgrade": _websocket,
    "real-browser": _browser,
    "postgres": _database("postgres"),
    "mysql": _database("mysql"),
    "redis": _redis,
}


def _add_channels(database: sqlite3.Connection, draft: Draft) -> None:
    for row in _rows(database, "notification"):
        name, config = str(row["name"]), _json(row.get("config"), {})
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
            days = _json(row.get("value"), USUAL_EXPIRY)
            return sorted(int(day) for day in days if 1 <= int(day) <= 365)[:10]  # noqa: PLR2004
    return USUAL_EXPIRY


def _timeout(row: Row) -> int:
    """Version 1 has none of its own: it gives up after four fifths of the interval."""
    own = row.get("timeout") or 0
    every = row.get("interval") or 60
    return min(timeout(own or every * 0.8), interval(every))


def _host(row: Row) -> str:
    host = str(row.get("hostname") or "").strip()
    if not host:
        raise ValueError("names no host")
    return host


def _number(row: Row, name: str) -> int:
    if not row.get(name):
        raise ValueError(f"has no {name}")
    return int(row[name])


def _json(text: object, usual: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(text, str) or not text.strip():
        return usual
    try:
        return json.loads(text)
    except ValueError:
        return usual
