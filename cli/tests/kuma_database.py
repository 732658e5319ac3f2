"""A database as Uptime Kuma 2 makes it: its tables and columns, as far as settings lie in them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE monitor (
    id INTEGER PRIMARY KEY, name VARCHAR(150), active BOOLEAN NOT NULL DEFAULT 1, user_id INTEGER,
    interval INTEGER NOT NULL DEFAULT 20, url TEXT, type VARCHAR(20), weight INTEGER DEFAULT 2000,
    hostname VARCHAR(255), port INTEGER, created_date DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    keyword VARCHAR(255), maxretries INTEGER NOT NULL DEFAULT 0, ignore_tls BOOLEAN NOT NULL DEFAULT 0,
    upside_down BOOLEAN NOT NULL DEFAULT 0, maxredirects INTEGER NOT NULL DEFAULT 10,
    accepted_statuscodes_json TEXT NOT NULL DEFAULT '["200-299"]', dns_resolve_type VARCHAR(5),
    dns_resolve_server VARCHAR(255), dns_last_result VARCHAR(255),
    retry_interval INTEGER NOT NULL DEFAULT 0, push_token VARCHAR(32), method TEXT NOT NULL DEFAULT 'GET',
    body TEXT, headers TEXT, basic_auth_user TEXT, basic_auth_pass TEXT, docker_container VARCHAR(255),
    proxy_id INTEGER, expiry_notification BOOLEAN DEFAULT 1, mqtt_topic TEXT,
    database_connection_string VARCHAR(2000), database_query TEXT, auth_method VARCHAR(250),
    grpc_url VARCHAR(255), grpc_enable_tls BOOLEAN NOT NULL DEFAULT 0, resend_interval INTEGER NOT NULL DEFAULT 0,
    packet_size INTEGER NOT NULL DEFAULT 56, http_body_encoding VARCHAR(25), description TEXT,
    parent INTEGER, invert_keyword BOOLEAN NOT NULL DEFAULT 0, json_path TEXT, expected_value VARCHAR(255),
    json_path_operator VARCHAR(255), timeout DOUBLE NOT NULL DEFAULT 0, smtp_security VARCHAR(255),
    ip_family VARCHAR(4), conditions TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE tag (id INTEGER PRIMARY KEY, name VARCHAR(255) NOT NULL, color VARCHAR(255) NOT NULL);
CREATE TABLE monitor_tag (id INTEGER PRIMARY KEY, monitor_id INTEGER, tag_id INTEGER, value TEXT);
CREATE TABLE notification (
    id INTEGER PRIMARY KEY, name VARCHAR(255), active BOOLEAN NOT NULL DEFAULT 1, user_id INTEGER,
    is_default BOOLEAN NOT NULL DEFAULT 0, config TEXT
);
CREATE TABLE monitor_notification (id INTEGER PRIMARY KEY, monitor_id INTEGER, notification_id INTEGER);
CREATE TABLE maintenance (
    id INTEGER PRIMARY KEY, title VARCHAR(150) NOT NULL, description TEXT NOT NULL, user_id INTEGER,
    active BOOLEAN NOT NULL DEFAULT 1, strategy VARCHAR(50) NOT NULL DEFAULT 'single',
    start_date DATETIME, end_date DATETIME, start_time TIME, end_time TIME,
    weekdays VARCHAR(250) DEFAULT '[]', days_of_month TEXT DEFAULT '[]', interval_day INTEGER,
    cron TEXT, timezone VARCHAR(255), duration INTEGER
);
CREATE TABLE monitor_maintenance (id INTEGER PRIMARY KEY, monitor_id INTEGER, maintenance_id INTEGER);
CREATE TABLE status_page (id INTEGER PRIMARY KEY, slug VARCHAR(255), title VARCHAR(255));
CREATE TABLE proxy (id INTEGER PRIMARY KEY, protocol VARCHAR(10), host VARCHAR(255), port SMALLINT);
CREATE TABLE setting (id INTEGER PRIMARY KEY, "key" VARCHAR(200) NOT NULL, value TEXT, type VARCHAR(20));
CREATE TABLE "group" (id INTEGER PRIMARY KEY, name VARCHAR(255), status_page_id INTEGER);
"""  # noqa: E501 - columns as they stand there

MONITORS: list[dict[str, Any]] = [
    {"id": 1, "name": "Edge", "type": "group"},
    {
        "id": 2,
        "name": "Shop",
        "type": "keyword",
        "url": "https://shop.example/health",
        "keyword": "all good",
        "parent": 1,
        "maxretries": 2,
        "interval": 60,
        "timeout": 48,
        "headers": json.dumps({"X-Api-Key": "s3cr3t", "Accept": "text/html"}),
        "method": "POST",
        "body": '{"a": "${HOME}"}',
        "http_body_encoding": "json",
        "maxredirects": 0,
        "ignore_tls": 1,
    },
    {"id": 3, "name": "Router", "type": "ping", "hostname": "router.example", "parent": 1},
    {"id": 4, "name": "Mail", "type": "port", "hostname": "mail.example", "port": 25, "active": 0},
    {
        "id": 5,
        "name": "Name",
        "type": "dns",
        "hostname": "shop.example",
        "port": 53,
        "dns_resolve_server": "1.1.1.1,8.8.8.8",
        "dns_resolve_type": "AAAA",
    },
    {"id": 6, "name": "Backup job", "type": "push", "push_token": "aBc123xyz", "interval": 3600},
    {
        "id": 7,
        "name": "Database",
        "type": "postgres",
        "database_connection_string": "postgres://watcher:p%40ss@db.example:5433/shop",
        "database_query": "SELECT 1",
    },
    {"id": 8, "name": "Broker", "type": "mqtt", "hostname": "broker.example"},
    {
        "id": 9,
        "name": "API",
        "type": "json-query",
        "url": "https://api.example/state",
        "json_path": "$.state",
        "expected_value": "up",
        "upside_down": 1,
        "basic_auth_user": "probe",
        "basic_auth_pass": "hunter2",
        "auth_method": "basic",
    },
    {
        "id": 10,
        "name": "Shop",
        "type": "http",
        "url": "https://shop.example",
        "expiry_notification": 0,
    },
    {"id": 11, "name": "Live", "type": "websocket-upgrade", "url": "wss://shop.example/live"},
    {
        "id": 12,
        "name": "Cache",
        "type": "redis",
        "database_connection_string": "redis://cache.example",
    },
]
NOTIFICATIONS = {
    "Team chat": {"type": "slack", "slackwebhookURL": "https://hooks.slack.com/services/T/B/x"},
    "Mail": {"type": "smtp", "smtpTo": "ops@shop.example, boss@shop.example"},
    "Bot": {"type": "telegram", "telegramBotToken": "123:abc", "telegramChatID": "-100"},
    "Pager": {"type": "PagerDuty", "pagerdutyIntegrationKey": "0" * 32},
    "Odd": {"type": "pigeon"},
}
MAINTENANCE: list[dict[str, Any]] = [
    {
        "id": 1,
        "title": "Patches",
        "strategy": "recurring-weekday",
        "weekdays": "[0, 6]",
        "start_time": "23:30:00",
        "end_time": "01:00:00",
        "timezone": "Europe/Berlin",
        "start_date": "2026-01-01 00:00:00",
    },
    {
        "id": 2,
        "title": "Month's end",
        "strategy": "recurring-day-of-month",
        "days_of_month": '[1, "lastDay1"]',
        "start_time": "02:00",
        "end_time": "03:00",
        "timezone": "UTC",
        "start_date": "2026-01-01 00:00:00",
    },
    {"id": 3, "title": "By hand", "strategy": "manual"},
    {
        "id": 4,
        "title": "Cron",
        "strategy": "cron",
        "cron": "0 4 * * *",
        "duration": 1800,
        "timezone": "SAME_AS_SERVER",
    },
]


def make_kuma(file: Path) -> Path:
    """Write the database."""
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(TABLES)
        for monitor in MONITORS:
            _insert(database, "monitor", monitor)
        _insert(database, "tag", {"id": 1, "name": "env", "color": "#fff"})
        _insert(database, "monitor_tag", {"monitor_id": 2, "tag_id": 1, "value": "prod"})
        for name, config in NOTIFICATIONS.items():
            _insert(database, "notification", {"name": name, "config": json.dumps(config)})
        _insert(database, "monitor_notification", {"monitor_id": 2, "notification_id": 1})
        for row in MAINTENANCE:
            _insert(database, "maintenance", {"description": "", **row})
            _insert(database, "monitor_maintenance", {"monitor_id": 2, "maintenance_id": row["id"]})
        _insert(database, "status_page", {"slug": "s", "title": "Our status"})
        _insert(database, "proxy", {"host": "proxy.example"})
        _insert(database, "setting", {"key": "tlsExpiryNotifyDays", "value": "[3, 30]"})
    return file


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join("?" for _ in row)
    database.execute(f'INSERT INTO "{table}" ({names}) VALUES ({places})', tuple(row.values()))  # noqa: S608
