"""Importers: what each tool has becomes a document, and what does not is said."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from mainstay_cli.importing.blackbox import read_blackbox
from mainstay_cli.importing.drafts import Draft, Unreadable, env_file
from mainstay_cli.importing.gatus import read_gatus, seconds_of
from mainstay_cli.importing.healthchecks import read_healthchecks
from mainstay_cli.importing.kuma import read_kuma
from tests.kuma_database import make_kuma

PRODUCTION = "production"
DEBIAN = Path("/etc/prometheus/blackbox.yml")
GATUS = """\
alerting:
  slack:
    webhook-url: ${SLACK_URL}
  email: {to: "duty@shop.example"}
  teams: {webhook-url: "https://teams.example"}
maintenance:
  start: "23:15"
  duration: 1h30m
  timezone: Europe/Berlin
  every: [Monday, Thursday]
x-usual: &usual
  interval: 30s
  client: {timeout: 5s, insecure: true}
endpoints:
  - name: front-end
    group: core
    url: "https://shop.example/health"
    <<: *usual
    headers: {Authorization: "Bearer ${TOKEN}", Accept: application/json}
    conditions: ["[STATUS] == 200", "[BODY].status == UP", "[RESPONSE_TIME] < 150"]
    alerts:
      - {type: slack, failure-threshold: 5, success-threshold: 3}
      - {type: email}
  - name: dns
    url: "8.8.8.8"
    dns: {query-name: "shop.example", query-type: "A"}
    conditions: ["[DNS_RCODE] == NOERROR"]
  - {name: ping, url: "icmp://shop.example", conditions: ["[CONNECTED] == true"], enabled: false}
  - {name: mail, url: "starttls://mail.example:587", conditions: ["[CERTIFICATE_EXPIRATION] > 48h"]}
  - {name: redis, url: "tcp://cache.example:6379", body: PING, conditions: ["[CONNECTED] == true"]}
  - {name: graph, url: "https://shop.example/graph", graphql: true, body: "{ a }", method: POST}
  - {name: sctp, url: "sctp://shop.example:38412"}
external-endpoints:
  - {name: Nightly Backup, group: core, token: potato, heartbeat: {interval: 24h}}
suites:
  - name: order
    group: core
    interval: 5m
    context: {shop: "https://shop.example"}
    endpoints:
      - name: log in
        method: POST
        url: "[CONTEXT].shop/login"
        store: {token: "[BODY].data.token"}
      - name: clean up
        url: "[CONTEXT].shop/orders"
        headers: {Authorization: "Bearer [CONTEXT].token"}
        always-run: true
        conditions: ["[STATUS] == 204"]
ui: {title: Ours}
"""
PROMETHEUS = """\
global: {scrape_interval: 30s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["localhost:9100"]}]
  - job_name: web
    metrics_path: /probe
    params: {module: [http_2xx]}
    static_configs:
      - {targets: ["https://shop.example", "shop.example:8080/health"], labels: {team: blue}}
  - job_name: pop
    metrics_path: /probe
    scrape_interval: 1m
    params: {module: [pop3s_banner]}
    static_configs: [{targets: ["mail.example:995"]}]
  - job_name: ssh
    metrics_path: /probe
    params: {module: [ssh_banner]}
    static_configs: [{targets: ["bastion.example:22"]}]
  - job_name: grpc
    metrics_path: /probe
    params: {module: [grpc_plain]}
    static_configs: [{targets: ["api.example:50051"]}]
  - job_name: pings
    metrics_path: /probe
    params: {module: [icmp]}
    static_configs: [{targets: ["router.example"]}]
  - job_name: lost
    metrics_path: /probe
    params: {module: [nowhere]}
    file_sd_configs: [{files: [a.json]}]
    static_configs: [{targets: ["a.example"]}]
"""


def lists_of(draft: Draft) -> dict[str, Any]:
    """What the document holds, read back from its text."""
    read: dict[str, Any] = yaml.safe_load(draft.text(project="shop", source="there"))
    assert (read.pop("version"), read.pop("project")) == (1, "shop")
    return read


def by_name(listed: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {thing["name"]: thing for thing in listed}


@pytest.fixture
def kuma(tmp_path: Path) -> Draft:
    return read_kuma(make_kuma(tmp_path / "kuma.db"), environment=PRODUCTION)


def test_kuma_s_monitors_become_checks_of_their_kinds(kuma: Draft) -> None:
    checks = by_name(lists_of(kuma)["healthChecks"])
    assert set(checks) == {
        *("Shop", "Router", "Mail", "Name", "Database", "API", "Shop (2)", "Live", "Cache")
    }
    shop = checks["Shop"]
    assert shop["tags"] == ["Edge", "env:prod"]
    assert (shop["failAfter"], shop["timeoutSeconds"]) == (3, 48)
    assert shop["conditions"] == ["[BODY] == pat(*all good*)"]
    assert shop["expiryDays"] == [3, 30]
    assert shop["config"] == {
        "healthDocument": False,
        "method": "POST",
        "body": '{"a": "$${HOME}"}',
        "headers": {
            "x-api-key": "{{x_api_key}}",
            "accept": "text/html",
            "content-type": "application/json",
        },
        "secrets": {"x_api_key": "${SHOP_CONFIG_SECRETS_X_API_KEY}"},
        "acceptedStatuses": ["200-299"],
        "followRedirects": False,
        "verifyTls": False,
    }
    assert checks["Mail"]["paused"] is True
    assert checks["Name"]["config"]["resolver"] == "1.1.1.1"
    assert checks["Database"]["config"] == {
        "host": "db.example",
        "port": 5433,
        "database": "shop",
        "user": "watcher",
        "password": "${DATABASE_CONFIG_PASSWORD}",
        "query": "SELECT 1",
    }
    assert checks["Shop (2)"]["expiryDays"] == []
    assert kuma.secrets["DATABASE_CONFIG_PASSWORD"] == "p@ss"
    assert "hunter2" not in kuma.text(project="", source="")


def test_kuma_s_push_urls_channels_and_maintenance_come_too(kuma: Draft) -> None:
    lists = lists_of(kuma)
    (job,) = lists["heartbeats"]
    assert kuma.secrets[job["pushToken"].strip("${}")] == "aBc123xyz"
    assert job["periodSeconds"] == 3600
    channels = by_name(lists["alertChannels"])
    assert set(channels) == {"Team chat", "Mail", "Mail (2)", "Bot", "Pager"}
    assert kuma.secrets["BOT_CONFIG_URL"] == "tgram://123:abc/-100"
    plans = by_name(lists["maintenance"])
    assert plans["Patches"] == {
        "name": "Patches",
        "timeZone": "Europe/Berlin",
        "startsAt": "2026-01-01T23:30",
        "subjects": ["production/Shop"],
        "schedule": "30 23 * * 0,6",
        "durationMinutes": 90,
    }
    assert plans["Month's end"]["schedule"] == "FREQ=MONTHLY;BYMONTHDAY=1,-1"


def test_what_of_kuma_cannot_come_is_said(kuma: Draft) -> None:
    said = "\n".join(kuma.notes)
    for about in (
        "monitor Broker: MQTT is not asked",
        "monitor API: was upside down",
        "monitor Edge: a group is a tag",
        "channel Odd: pigeon",
        "maintenance By hand: the strategy manual",
        "maintenance Cron: was on the clock",
        "status page Our status",
        "proxy proxy.example",
        "history",
    ):
        assert about in said


def test_another_database_is_refused_and_none_is_written(tmp_path: Path) -> None:
    for content in (b"no database", b""):
        file = tmp_path / "other.db"
        file.write_bytes(content)
        with pytest.raises(Unreadable):
            read_kuma(file, environment=PRODUCTION)
        assert file.read_bytes() == content
    sqlite3.connect(tmp_path / "x.db").close()
    with pytest.raises(Unreadable):
        read_kuma(tmp_path / "absent.db", environment=PRODUCTION)
    assert not (tmp_path / "absent.db").exists()


def test_gatus_s_endpoints_keep_their_conditions() -> None:
    draft = read_gatus(GATUS, environment=PRODUCTION)
    lists = lists_of(draft)
    checks = by_name(lists["healthChecks"])
    assert set(checks) == {"front-end", "dns", "ping", "mail", "redis", "graph", "order"}
    front = checks["front-end"]
    assert front["conditions"] == [
        "[STATUS] == 200",
        "[BODY].status == UP",
        "[RESPONSE_TIME] < 150",
    ]
    assert (front["intervalSeconds"], front["timeoutSeconds"]) == (30, 5)
    assert (front["failAfter"], front["recoverAfter"]) == (3, 3)
    assert front["config"]["verifyTls"] is False
    assert front["config"]["headers"]["authorization"] == "{{authorization}}"
    assert checks["dns"]["config"]["resolver"] == "8.8.8.8"
    assert checks["mail"]["config"]["starttls"] == "smtp"
    assert checks["graph"]["config"]["body"] == '{"query":"{ a }"}'
    assert checks["order"]["config"]["steps"][0]["extract"] == [
        {"variable": "token", "expression": "$.data.token"}
    ]
    assert checks["order"]["config"]["steps"][1]["headers"] == {"authorization": "Bearer {{token}}"}
    assert lists["heartbeats"][0]["slug"] == "core_nightly-backup"
    assert lists["maintenance"][0]["schedule"] == "15 23 * * 1,4"
    assert lists["maintenance"][0]["durationMinutes"] == 90
    channels = by_name(lists["alertChannels"])
    assert channels["slack"]["config"] == {"webhookUrl": "${SLACK_URL}"}
    said = "\n".join(draft.notes)
    for about in ("endpoint sctp", "alerting teams", "ui: its looks"):
        assert about in said


def test_durations_of_go_are_read() -> None:
    for text, seconds in (("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("", 7), (10**9, 1)):
        assert seconds_of(text, 7) == seconds


def test_healthchecks_keep_the_uuids_of_their_ping_urls() -> None:
    id_ = "31365bce-8da9-4729-8ff3-aaa71d56b712"
    draft = read_healthchecks(
        {
            "checks": [
                {"name": "Backup", "uuid": id_, "schedule": "0 3 * * *", "tz": "Europe/Riga"}
                | {"tags": "db nightly", "grace": 600, "status": "paused", "channels": "a,b"},
                {"name": "", "timeout": 60, "unique_key": "x", "grace": 60},
                {"name": "Timer", "schedule": "Mon *-*-* 12:00", "tz": "UTC", "grace": 60}
                | {"ping_url": f"https://hc-ping.com/{id_}"},
            ]
        },
        environment=PRODUCTION,
    )
    jobs = by_name(lists_of(draft)["heartbeats"])
    backup = jobs["Backup"]
    assert draft.secrets[backup["pingId"].strip("${}")] == id_
    assert (backup["scheduleKind"], backup["expression"]) == ("cron", "0 3 * * *")
    assert (backup["tags"], backup["paused"]) == (["db", "nightly"], True)
    assert jobs["Timer"]["scheduleKind"] == "oncalendar"
    assert "only the host is another" in "\n".join(draft.notes)
    wrongs: list[object] = [{}, [], {"checks": 1}]
    for wrong in wrongs:
        with pytest.raises(Unreadable):
            read_healthchecks(wrong, environment=PRODUCTION)


def test_debian_s_own_modules_become_checks_of_their_targets() -> None:
    draft = read_blackbox(DEBIAN.read_text(), PROMETHEUS, environment=PRODUCTION)
    checks = by_name(lists_of(draft)["healthChecks"])
    shop = checks["https://shop.example"]
    assert (shop["tags"], shop["intervalSeconds"]) == (["web", "team:blue"], 30)
    assert shop["config"]["acceptedStatuses"] == ["200-299"]
    assert checks["shop.example:8080/health"]["url"] == "http://shop.example:8080/health"
    pop = checks["mail.example:995"]
    assert pop["config"] == {"host": "mail.example", "port": 995, "tls": True, "expect": "+OK"}
    assert checks["bastion.example:22"]["kind"] == "ssh"
    assert checks["api.example:50051"]["config"]["service"] == "service1"
    assert checks["router.example"]["kind"] == "icmp"
    said = "\n".join(draft.notes)
    for about in (
        "a.example: its module nowhere",
        "file_sd_configs",
        "module irc_banner: no target",
    ):
        assert about in said


def test_what_is_no_yaml_is_refused() -> None:
    for wrong in ("- 1", "a: [", "a: !!python/object/apply:os.system [id]"):
        with pytest.raises(Unreadable):
            read_gatus(wrong, environment=PRODUCTION)


def test_secrets_in_a_shell_s_file_are_only_text() -> None:
    assert env_file({"A": "it's $HOME"}) == "export A='it'\\''s $HOME'\n"
