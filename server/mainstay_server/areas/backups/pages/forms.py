"""The form of a target: its fields by engine, its presets, and how what was sent is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData

from mainstay_server.areas.backups.models import BackupTarget, Drills
from mainstay_server.areas.backups.service.choosing import TargetChoice
from mainstay_server.areas.backups.service.schedules import Schedule
from mainstay_server.areas.backups.service.targets import NewKey
from mainstay_server.kernel.problems import Invalid

LONGEST_TEXT = 5000
OWN = "own"
RULES = ("days", "count", "daily", "weekly", "monthly", "yearly")
RETENTIONS: dict[str, tuple[str, dict[str, int]]] = {
    "production": ("30 days (production)", {"days": 30}),
    "staging": ("7 days (staging)", {"days": 7}),
    "generations": (
        "7 days, 4 weeks, 12 months, 2 years: one of each",
        {"daily": 7, "weekly": 4, "monthly": 12, "yearly": 2},
    ),
}
SCHEDULES: dict[str, tuple[str, Schedule]] = {
    "five-minutely": ("Every 5 minutes", Schedule(cron="*/5 * * * *")),
    "hourly": ("Every hour", Schedule(interval_hours=1)),
    "six-hourly": ("Every 6 hours", Schedule(interval_hours=6)),
    "daily": ("Daily at 02:00 UTC", Schedule(cron="0 2 * * *")),
    "weekly": ("Sundays at 02:00 UTC", Schedule(cron="0 2 * * 0")),
}
DRILLS = (
    (Drills.AFTER_EACH.value, "After each backup"),
    (Drills.WEEKLY.value, "Once a week"),
    (Drills.OFF.value, "Never by themselves"),
)
NEW_KEYS = (
    (NewKey.SHOWN.value, "Make a key pair, show me the secret once, and forget it"),
    (NewKey.KEPT.value, "The same, and keep a sealed copy here for restore drills"),
    (NewKey.NONE.value, "Use the public keys that I give below"),
)


@dataclass(frozen=True)
class ConfigField:
    """One field of an engine's config in the form."""

    name: str
    label: str
    placeholder: str
    hint: str


CONFIGS: dict[str, ConfigField] = {
    "postgresql": ConfigField(
        "url",
        "Where it is",
        "postgresql://reader:secret@db.example:5432/orders",
        "A user that may read everything is enough: GRANT pg_read_all_data TO reader.",
    ),
    "postgresql_cluster": ConfigField(
        "url",
        "Where it is",
        "postgresql://replicator:secret@db.example:5432/postgres",
        "A user that may replicate: ALTER ROLE replicator REPLICATION. Back up its log, too.",
    ),
    "postgresql_log": ConfigField(
        "url",
        "Where it is",
        "postgresql://replicator:secret@db.example:5432/postgres",
        "A user that may replicate; the server keeps for its slot (mainstay) what is not stored.",
    ),
    "mariadb": ConfigField(
        "url",
        "Where it is",
        "mysql://reader:secret@db.example:3306/orders",
        "A user that may read the database; the docs name its rights.",
    ),
    "redis": ConfigField(
        "url",
        "Where it is",
        "redis://user:secret@cache.example:6379",
        "A user that may SYNC and INFO; rediss:// for TLS.",
    ),
    "sqlite": ConfigField(
        "path",
        "The file",
        "/srv/app/data/app.db",
        "In a folder of MAINSTAY_BACKUP_FOLDERS; it may be written while it is copied.",
    ),
    "export": ConfigField(
        "url",
        "Where it is",
        "postgresql://reader:secret@db.example:5432/orders",
        "PostgreSQL, MariaDB (mysql://…) or a file of SQLite (sqlite:////srv/app.db).",
    ),
    "mainstay": ConfigField(
        "secret",
        "The operator's secret",
        "",
        "What MAINSTAY_BACKUP_ITSELF_SECRET says: everybody's data leaves with it.",
    ),
    "files": ConfigField(
        "path", "The folder", "/srv/app/uploads", "In a folder of MAINSTAY_BACKUP_FOLDERS."
    ),
}
TABLES = ConfigField(
    "tables",
    "Tables",
    "people orders",
    "Which ones, with blanks or lines between; empty is all of them.",
)
FILES_OF_POSTGRESQL = ("postgresql_cluster", "postgresql_log")
NEW_FOLDER = ConfigField(
    "url",
    "A new folder",
    "/srv/restored 2026-11-26T01:02:03Z",
    "Its path, and of a cluster perhaps the time to go back to, or latest.",
)
ANY_CONFIG = ConfigField(
    "json", "Settings as JSON", '{"url": "…"}', "What this engine takes stands in the docs."
)


def config_field(engine: str) -> ConfigField:
    """The field of an engine; one that is not known here is given as JSON."""
    return CONFIGS.get(engine, ANY_CONFIG)


def restore_field(engine: str) -> ConfigField:
    """The field of where else a restore may go."""
    return NEW_FOLDER if engine in FILES_OF_POSTGRESQL else config_field(engine)


def asks_for_tables(engine: str) -> bool:
    """Whether an engine takes a part of a database only."""
    return engine == "export"


def config_of(engine: str, form: FormData) -> dict[str, Any] | None:
    """The config that was typed; None when the field was left empty. Raises `Invalid`."""
    config = config_in(engine, text_of(form, "config"))
    if config is None or not asks_for_tables(engine):
        return config
    return {**config, TABLES.name: text_of(form, TABLES.name).replace(",", " ").split()}


def config_in(engine: str, text: str) -> dict[str, Any] | None:
    """What one field of an engine says; None when it was left empty. Raises `Invalid`."""
    if not text:
        return None
    name = config_field(engine).name
    if engine in FILES_OF_POSTGRESQL and text.startswith("/"):
        path, _, to_time = text.partition(" ")
        return {"path": path, "toTime": to_time.strip()}
    if name != ANY_CONFIG.name:
        return {name: text}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Invalid("The settings must be a JSON object; look at the example in the field.")
    return found


NOBODY = "-"  # what stands in a field that is secret and so never shown, to empty it


def choice_of(engine: str, form: FormData) -> TargetChoice:
    """What somebody chose in the form. Raises `Invalid`."""
    recipients = text_of(form, "recipients").replace(",", " ").split()
    drills, place = text_of(form, "drills"), text_of(form, "drill_place")
    percent = text_of(form, "too_small_percent")
    heartbeat = text_of(form, "heartbeat_url")
    return TargetChoice(
        name=text_of(form, "name"),
        config=config_of(engine, form),
        destinations=texts_of(form, "destinations") or None,
        is_enabled=text_of(form, "enabled") == "on",
        schedule=schedule_of(form),
        retention={f"keep_{name}": value for name, value in rules_of(form).items()},
        recipients=recipients or None,
        drill_key="" if text_of(form, "forget_key") == "on" else text_of(form, "drill_key") or None,
        drills=Drills(drills) if drills in set(Drills) else None,
        drill_place={} if place == NOBODY else config_in(engine, place),
        too_small_percent=_number("too_small_percent", percent) if percent else None,
        heartbeat_url="" if heartbeat == NOBODY else heartbeat or None,
    )


def new_key_of(form: FormData) -> NewKey:
    """Whether a key is made."""
    wanted = text_of(form, "new_key")
    return NewKey(wanted) if wanted in set(NewKey) else NewKey.NONE


def schedule_of(form: Mapping[str, Any]) -> Schedule:
    """The schedule of a preset, or of the fields below it."""
    chosen = text_of(form, "schedule")
    if chosen in SCHEDULES:
        return SCHEDULES[chosen][1]
    zone = text_of(form, "time_zone") or "UTC"
    return Schedule(cron=text_of(form, "cron"), time_zone=zone)


def rules_of(form: Mapping[str, Any]) -> dict[str, int]:
    """The rules of a retention preset, or of the fields below it; all six. Raises `Invalid`."""
    chosen = text_of(form, "retention")
    if chosen in RETENTIONS:
        given: Mapping[str, int] = RETENTIONS[chosen][1]
    else:
        given = {name: _number(name, text_of(form, name) or "0") for name in RULES}
    return {name: given.get(name, 0) for name in RULES}


def retention_of(target: BackupTarget) -> str:
    """The preset that a target has, or `own`."""
    has = {name: getattr(target, f"keep_{name}") for name in RULES}
    for preset, (_, rules) in RETENTIONS.items():
        if has == {name: rules.get(name, 0) for name in RULES}:
            return preset
    return OWN


def schedule_preset_of(target: BackupTarget) -> str:
    """The preset of a target's schedule, or `own`."""
    has = Schedule(target.interval_hours, target.cron, target.time_zone)
    return next((name for name, (_, each) in SCHEDULES.items() if each == has), OWN)


def text_of(form: Mapping[str, Any], name: str) -> str:
    """A field as text without blanks around it. Raises `Invalid` when it is too long."""
    value = str(form.get(name) or "").strip()
    if len(value) > LONGEST_TEXT:
        raise Invalid(f"{name} is longer than {LONGEST_TEXT} characters; shorten it.")
    return value


def texts_of(form: FormData, name: str) -> list[str]:
    """All values of a field that may be given several times."""
    return [str(value) for value in form.getlist(name)]


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len("10000"):
        raise Invalid(f"{name.replace('_', ' ')} must be a whole number, 0 for none.")
    return int(text)
