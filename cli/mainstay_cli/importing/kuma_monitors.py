"""Monitors of Uptime Kuma that ask something, as health checks of the kind that asks so here."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from .drafts import Draft, Secret

Row = Mapping[str, Any]

CONTENT_TYPES = {
    "json": "application/json",
    "xml": "text/xml; charset=utf-8",
    "form": "application/x-www-form-urlencoded",
}


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
    statuses = read_json(row.get("accepted_statuscodes_json"), [])
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
    headers = read_json(row.get("headers"), {})
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


def _host(row: Row) -> str:
    host = str(row.get("hostname") or "").strip()
    if not host:
        raise ValueError("names no host")
    return host


def _number(row: Row, name: str) -> int:
    if not row.get(name):
        raise ValueError(f"has no {name}")
    return int(row[name])


def read_json(text: object, usual: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """What a column holds as JSON; the usual where that is nothing or none."""
    if not isinstance(text, str) or not text.strip():
        return usual
    try:
        return json.loads(text)
    except ValueError:
        return usual
