"""The blackbox exporter: its modules, with the targets that Prometheus has it probe."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .drafts import Draft, Secret, interval, mapping, read_yaml, sequence, tags_of, timeout
from .gatus import seconds_of

Module = Mapping[str, Any]

USUAL_INTERVAL, USUAL_TIMEOUT = 60.0, 10.0
LITERAL = re.compile(r"\^?((?:[^\\^$.|?*+()\[\]{}]|\\[.+*?()\[\]{}|^$-])+)")


@dataclass(frozen=True)
class Probed:
    """One target of one module, and how often Prometheus has it probed."""

    target: str
    module: str
    job: str
    every: float
    tags: tuple[str, ...] = ()


def read_blackbox(blackbox: str, prometheus: str, *, environment: str) -> Draft:
    """What Prometheus has the exporter probe, as a document. Raises `Unreadable`.

    `blackbox` is the exporter's file, `prometheus` the server's; without the second there are
    modules, but nothing that they are for.
    """
    modules = mapping(read_yaml(blackbox, "The exporter's file").get("modules"))
    draft = Draft(environment)
    used: set[str] = set()
    for probed in _targets(draft, prometheus) if prometheus else ():
        module = mapping(modules.get(probed.module))
        used.add(probed.module)
        if not module:
            draft.note(probed.target, f"its module {probed.module} is not in the exporter's file")
            continue
        _add(draft, probed, module)
    for name in modules:
        if name not in used:
            draft.note(f"module {name}", "no target uses it; give --prometheus prometheus.yml")
    draft.note("history", "series stay in Prometheus; /metrics and /probe go on with their names")
    return draft


def _targets(draft: Draft, text: str) -> Iterator[Probed]:
    told = read_yaml(text, "Prometheus' file")
    usual = seconds_of(mapping(told.get("global")).get("scrape_interval"), USUAL_INTERVAL)
    for job in map(mapping, sequence(told.get("scrape_configs"))):
        if job.get("metrics_path") != "/probe":
            continue
        name = str(job.get("job_name", ""))
        modules = sequence(mapping(job.get("params")).get("module")) or ["http_2xx"]
        if discovery := [key for key in job if str(key).endswith("_sd_configs")]:
            draft.note(f"job {name}", f"finds targets by {', '.join(discovery)}; add them by hand")
        every = seconds_of(job.get("scrape_interval"), usual)
        for static in map(mapping, sequence(job.get("static_configs"))):
            labels = mapping(static.get("labels"))
            tags = tuple(f"{key}:{value}" for key, value in labels.items())
            for target in sequence(static.get("targets")):
                yield Probed(str(target), str(modules[0]), name, every, tags)


def _add(draft: Draft, probed: Probed, module: Module) -> None:
    prober = str(module.get("prober"))
    about = f"{probed.target} ({probed.module})"
    made = {"http": _http, "tcp": _tcp, "icmp": _icmp, "dns": _dns, "grpc": _grpc}.get(prober)
    if made is None:
        draft.note(about, f"the prober {prober} is not known here")
        return
    try:
        kind = made(draft, probed, mapping(module.get(prober)))
    except ValueError as error:
        draft.note(about, str(error))
        return
    patience = seconds_of(module.get("timeout"), USUAL_TIMEOUT)
    every = interval(probed.every)
    common = {
        "intervalSeconds": every,
        "timeoutSeconds": min(timeout(patience), every),
        "tags": tags_of(probed.job, *probed.tags) or None,
    }
    draft.add("healthChecks", probed.target, {**kind, **common})


def _http(draft: Draft, probed: Probed, told: Module) -> dict[str, Any]:
    about = f"module {probed.module}"
    url = probed.target if "://" in probed.target else f"http://{probed.target}"
    config: dict[str, Any] = {"healthDocument": False, **_http_auth(told)}
    method = str(told.get("method") or "GET").upper()
    if method != "GET":
        config["method"] = method
    config["body"] = told.get("body") or None
    headers = mapping(told.get("headers"))
    config["headers"] = {str(name).lower(): str(each) for name, each in headers.items()} or None
    statuses = [str(each) for each in sequence(told.get("valid_status_codes"))]
    config["acceptedStatuses"] = statuses or ["200-299"]
    if told.get("follow_redirects") is False or told.get("no_follow_redirects"):
        config["followRedirects"] = False
    if mapping(told.get("tls_config")).get("insecure_skip_verify"):
        config["verifyTls"] = False
    if told.get("ip_protocol_fallback") is False and told.get("preferred_ip_protocol"):
        config["ipVersion"] = str(told["preferred_ip_protocol"])[-1]
    for key, why in (
        ("fail_if_ssl", "no check asks that there be no TLS"),
        ("fail_if_header_matches", "say it as a condition on [HEADER]"),
        ("fail_if_header_not_matches", "say it as a condition on [HEADER]"),
        ("proxy_url", "checks ask without a proxy"),
        ("oauth2", "signs in by OAuth2, which checks do not"),
    ):
        if told.get(key):
            draft.note(about, f"{key}: {why}")
    if told.get("fail_if_not_ssl") and url.startswith("http://"):
        draft.note(about, f"{url} must be TLS; write it with https://")
    return {"url": url, "config": config, "conditions": _bodies(draft, about, told) or None}


def _http_auth(told: Module) -> dict[str, Any]:
    basic = mapping(told.get("basic_auth"))
    if basic:
        password = Secret(str(basic.get("password") or ""))
        return {"username": str(basic.get("username") or ""), "password": password}
    bearer = told.get("bearer_token") or mapping(told.get("authorization")).get("credentials")
    return {"bearerToken": Secret(str(bearer))} if bearer else {}


def _bodies(draft: Draft, about: str, told: Module) -> list[str]:
    """Conditions on the body, where the expression is a plain text."""
    found = []
    for key, sign in (
        ("fail_if_body_matches_regexp", "!="),
        ("fail_if_body_not_matches_regexp", "=="),
    ):
        for expression in sequence(told.get(key)):
            plain = _literal(str(expression))
            if plain is None:
                draft.note(about, f"{key}: say {expression!r} as a condition on [BODY]")
            else:
                found.append(f"[BODY] {sign} pat(*{plain}*)")
    return found


def _tcp(draft: Draft, probed: Probed, told: Module) -> dict[str, Any]:
    host, port = _host_port(probed.target)
    talk = [mapping(each) for each in sequence(told.get("query_response"))]
    if told.get("tls") and not talk:
        verify = not mapping(told.get("tls_config")).get("insecure_skip_verify")
        config = {"host": host, "port": port, "verify": None if verify else False}
        return {"kind": "tls", "config": config}
    expects = [str(each["expect"]) for each in talk if each.get("expect")]
    if expects and expects[0].startswith("^SSH-"):
        return {"kind": "ssh", "config": {"host": host, "port": port}}
    sends = [str(each["send"]) for each in talk if each.get("send")]
    expect = _literal(expects[0]) if expects else None
    if len(talk) > 1 or (expects and expect is None):
        draft.note(f"module {probed.module}", "only what is said and expected first is asked here")
    config = {
        "host": host,
        "port": port,
        "tls": True if told.get("tls") else None,
        "send": f"{_escaped(sends[0])}\\n" if sends and "send" in talk[0] else None,
        "expect": _escaped(expect) if expect else None,
    }
    return {"kind": "tcp", "config": config}


def _icmp(draft: Draft, probed: Probed, told: Module) -> dict[str, Any]:
    if told.get("ttl"):
        draft.note(f"module {probed.module}", "pings go with the usual ttl")
    return {"kind": "icmp", "config": {"host": probed.target.partition(":")[0]}}


def _dns(draft: Draft, probed: Probed, told: Module) -> dict[str, Any]:
    if told.get("validate_answer_rrs") or told.get("validate_authority_rrs"):
        draft.note(f"module {probed.module}", "say what must be answered as expect or a condition")
    host, _, port = probed.target.partition(":")
    rcodes = sequence(told.get("valid_rcodes"))
    config = {
        "name": str(told.get("query_name") or "").rstrip("."),
        "type": str(told.get("query_type") or "A"),
        "resolver": host,
        "port": int(port) if port.isdigit() else 53,
        "rcode": str(rcodes[0]) if rcodes else None,
    }
    return {"kind": "dns", "config": config}


def _grpc(draft: Draft, probed: Probed, told: Module) -> dict[str, Any]:
    host, port = _host_port(probed.target)
    config = {
        "host": host,
        "port": port,
        "tls": bool(told.get("tls")),
        "service": told.get("service") or None,
    }
    return {"kind": "grpc", "config": config}


def _host_port(target: str) -> tuple[str, int]:
    parts = urlsplit(target if "://" in target else f"//{target}")
    if not parts.hostname or not parts.port:
        raise ValueError("its target names no host and port")
    return parts.hostname, parts.port


def _literal(expression: str) -> str | None:
    """What a regular expression looks for, when that is a plain text; None for all others."""
    found = LITERAL.fullmatch(expression)
    if found is None:
        # An anchor before a plus, as in ^+OK, is meant as that sign.
        found = LITERAL.fullmatch(expression.replace("^+", "^\\+"))
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
