"""Gatus: its configuration file; conditions are spelt here as they are there."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from . import telling
from .drafts import Draft, Secret, interval, mapping, read_yaml, sequence, tags_of, timeout
from .gatus_suites import add_suite

Entry = Mapping[str, Any]

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
USUAL_INTERVAL, USUAL_TIMEOUT = 60.0, 10.0
USUAL_FAILURES, USUAL_SUCCESSES = 3, 2
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
CHANNELS = {
    "slack": ("webhook-url",),
    "pagerduty": ("integration-key",),
    "email": ("to",),
    "discord": ("webhook-url",),
    "telegram": ("token", "id"),
    "ntfy": ("url", "topic", "token"),
    "gotify": ("server-url", "token"),
    "custom": ("url",),
}
UNTRANSLATED = {
    "security": "people sign in to Mainstay",
    "storage": "Mainstay has its own",
    "web": "Mainstay listens where its operator says",
    "ui": "its looks stay there",
    "remote": "add what the other Gatus watches from its own file",
    "connectivity": "Mainstay notices by itself that its uplink is away",
    "announcements": "write them on a status page",
}


def read_gatus(text: str, *, environment: str) -> Draft:
    """What a file of Gatus says, as a document. Raises `Unreadable`."""
    told = read_yaml(text, "The file")
    draft = Draft(environment)
    for entry in map(mapping, [*sequence(told.get("endpoints")), *sequence(told.get("services"))]):
        _add_endpoint(draft, entry)
    for entry in map(mapping, sequence(told.get("external-endpoints"))):
        _add_external(draft, entry)
    for entry in map(mapping, sequence(told.get("suites"))):
        add_suite(draft, entry, seconds_of(entry.get("interval"), 600.0))
    for name, provider in mapping(told.get("alerting")).items():
        _add_channel(draft, str(name), mapping(provider))
    if told.get("maintenance"):
        _add_maintenance(draft, mapping(told["maintenance"]))
    for name, why in UNTRANSLATED.items():
        if told.get(name):
            draft.note(name, why)
    draft.note("history", "what Gatus measured stays in Gatus")
    return draft


def seconds_of(value: object, usual: float) -> float:
    """A duration as Go writes it, in seconds: `1m30s`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1e9  # Go's own: a number is of nanoseconds
    found = DURATION.findall(str(value or ""))
    return sum(float(number) * UNITS[unit] for number, unit in found) if found else usual


def _add_endpoint(draft: Draft, entry: Entry) -> None:
    name = str(entry.get("name", ""))
    about = f"endpoint {name}"
    client = mapping(entry.get("client"))
    kind = _kind_of(draft, entry, client)
    if not kind:
        return
    for key, why in (
        ("oauth2", "signs in by OAuth2, which checks do not"),
        ("identity-aware-proxy", "signs in to a proxy, which checks do not"),
        ("proxy-url", "checks ask without a proxy"),
        ("dns-resolver", "names are resolved by Mainstay's machine"),
        ("tunnel", "checks ask without a tunnel"),
        ("tls", "has a client certificate: give it as config.clientCertificate"),
    ):
        if client.get(key):
            draft.note(about, why)
    if entry.get("maintenance-windows"):
        draft.note(about, "has maintenance of its own; plan it with this check as a subject")
    every = seconds_of(entry.get("interval"), USUAL_INTERVAL)
    if kind.get("kind") == "domain":
        every = max(every, 3600.0)  # registries ask not to be asked often
    patience = seconds_of(client.get("timeout"), USUAL_TIMEOUT)
    common = {
        "intervalSeconds": interval(every),
        "timeoutSeconds": min(timeout(patience), interval(every)),
        "conditions": [str(each) for each in sequence(entry.get("conditions"))] or None,
        "tags": tags_of(str(entry.get("group", ""))) or None,
        "paused": True if entry.get("enabled") is False else None,
        **_thresholds(entry),
    }
    draft.add("healthChecks", name, {**kind, **common})


def _thresholds(entry: Entry) -> dict[str, int]:
    """After how many results it is down and up again; Gatus has them with each alert."""
    alerts = [mapping(alert) for alert in sequence(entry.get("alerts"))]
    if not alerts:
        return {}
    failures = [int(alert.get("failure-threshold") or USUAL_FAILURES) for alert in alerts]
    successes = [int(alert.get("success-threshold") or USUAL_SUCCESSES) for alert in alerts]
    return {"failAfter": min(failures), "recoverAfter": max(successes)}


def _kind_of(draft: Draft, entry: Entry, client: Entry) -> dict[str, Any]:
    """The kind of a check and its config; empty, and noted, when it has none here."""
    about = f"endpoint {entry.get('name', '')}"
    url = str(entry.get("url", ""))
    if entry.get("dns"):
        return _dns(url, mapping(entry["dns"]))
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme in ("http", "https"):
        return _http(entry, client, url)
    if scheme in ("ws", "wss"):
        config = {"url": url, "send": _text(entry.get("body")), "headers": _secret_headers(entry)}
        return {"kind": "websocket", "config": config}
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if entry.get("grpc") or scheme in ("grpc", "grpcs"):
        host, _, number = (parts.netloc or url).rpartition(":")
        service = str(mapping(entry.get("grpc")).get("service", ""))
        draft.note(about, "asks gRPC's own health service; check its conditions on [BODY]")
        own = "" if service.startswith("grpc.health") else service
        tls = scheme != "grpc"
        port = int(number) if number.isdigit() else 443
        return {
            "kind": "grpc",
            "config": {"host": host, "port": port, "service": own or None, "tls": tls},
        }
    if not host:
        draft.note(about, f"its URL {url!r} names no host")
        return {}
    return _plain(draft, entry, client, scheme=scheme, host=host, port=port)


def _plain(
    draft: Draft, entry: Entry, client: Entry, *, scheme: str, host: str, port: int | None
) -> dict[str, Any]:
    """The kinds that are told a host and mostly a port."""
    about = f"endpoint {entry.get('name', '')}"
    send = _text(entry.get("body"))
    there = {"host": host, "port": port}
    verify = False if client.get("insecure") else None
    mail = {"host": host, "port": port or 587, "starttls": "smtp", "verify": verify}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "icmp": ("icmp", {"host": host}),
        "tls": ("tls", {**there, "verify": verify}),
        "starttls": ("tls", mail),
        "ssh": ("ssh", there),
        "domain": ("domain", {"domain": host}),
    }
    if port:
        kinds["tcp"] = ("tcp", {**there, "send": send})
    if port and send:
        kinds["udp"] = ("udp", {**there, "send": send})
    if scheme not in kinds:
        draft.note(about, f"{scheme or 'its kind'} is not asked here, or needs a port or a body")
        return {}
    if mapping(entry.get("ssh")).get("username"):
        draft.note(about, "signs in over SSH and runs a command; here only its banner is read")
    kind, config = kinds[scheme]
    return {"kind": kind, "config": config}


def _http(entry: Entry, client: Entry, url: str) -> dict[str, Any]:
    config: dict[str, Any] = {"healthDocument": False}
    method = str(entry.get("method") or "GET").upper()
    if method != "GET":
        config["method"] = method
    body = _text(entry.get("body"))
    if entry.get("graphql") and body:
        quoted = body.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        body = '{"query":"' + quoted + '"}'
    config["body"] = body
    headers, secrets = _headers(entry)
    config["headers"], config["secrets"] = headers or None, secrets or None
    if client.get("insecure"):
        config["verifyTls"] = False
    if client.get("ignore-redirect"):
        config["followRedirects"] = False
    # In Gatus only conditions judge.
    config["acceptedStatuses"] = ["100-599"]
    return {"url": url, "config": config}


def _headers(entry: Entry) -> tuple[dict[str, str], dict[str, Secret]]:
    """Headers, with those that open something as places that secrets fill."""
    headers: dict[str, str] = {}
    secrets: dict[str, Secret] = {}
    for name, value in mapping(entry.get("headers")).items():
        lower = str(name).lower()
        if any(word in lower for word in ("auth", "key", "token", "secret", "cookie")):
            variable = re.sub(r"[^a-z0-9]", "_", lower)
            headers[lower], secrets[variable] = "{{" + variable + "}}", Secret(str(value))
        else:
            headers[lower] = str(value)
    if entry.get("graphql"):
        headers.setdefault("content-type", "application/json")
    return headers, secrets


def _secret_headers(entry: Entry) -> dict[str, Secret] | None:
    given = mapping(entry.get("headers"))
    return {str(name): Secret(str(value)) for name, value in given.items()} or None


def _dns(url: str, dns: Entry) -> dict[str, Any]:
    host, _, port = url.rpartition(":") if url.count(":") == 1 else (url, "", "")
    config = {
        "name": str(dns.get("query-name", "")).rstrip("."),
        "type": str(dns.get("query-type") or "A"),
        "resolver": host,
        "port": int(port) if port.isdigit() else 53,
    }
    return {"kind": "dns", "config": config}


def _add_external(draft: Draft, entry: Entry) -> None:
    name, group = str(entry.get("name", "")), str(entry.get("group", ""))
    key = "_".join(re.sub(r"[/_,.#+& ]", "-", part.lower()) for part in (group, name) if part)
    every = seconds_of(mapping(entry.get("heartbeat")).get("interval"), 0.0)
    draft.add(
        "heartbeats",
        name,
        {
            "slug": re.sub(r"[^a-z0-9_-]", "-", key)[:100],
            "periodSeconds": max(int(every), 1) if every else None,
            "tags": [tag.replace(" ", "-")[:40] for tag in tags_of(group)] or None,
            "paused": True if entry.get("enabled") is False else None,
            **_thresholds(entry),
        },
    )
    draft.note(
        f"external endpoint {name}",
        "keeps its path /api/v1/endpoints/…/external; the token is this instance's ping key now",
    )


def _add_channel(draft: Draft, name: str, provider: Entry) -> None:
    said = {key: str(value) for key, value in provider.items() if isinstance(value, str | int)}
    fields = CHANNELS.get(name)
    if fields is None:
        draft.note(f"alerting {name}", "is told by an Apprise URL; add it by hand")
        return
    telling.add(draft, name, name, [said.get(field, "") for field in fields])
    if provider.get("overrides"):
        draft.note(f"alerting {name}", "groups with a target of their own need a channel each")


def _add_maintenance(draft: Draft, entry: Entry) -> None:
    if entry.get("enabled") is False or not entry.get("start"):
        return
    hour, _, minute = str(entry["start"]).partition(":")
    days = [str(day).lower() for day in sequence(entry.get("every"))]
    on = ",".join(str(WEEKDAYS.index(day)) for day in days if day in WEEKDAYS) or "*"
    minutes = max(round(seconds_of(entry.get("duration"), 3600.0) / 60), 1)
    draft.add(
        "maintenance",
        "maintenance",
        {
            "startsAt": f"2026-01-01T{int(hour):02}:{int(minute or 0):02}",
            "schedule": f"{int(minute or 0)} {int(hour)} * * {on}",
            "timeZone": str(entry.get("timezone") or "UTC"),
            "durationMinutes": minutes,
        },
    )


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "") else None
