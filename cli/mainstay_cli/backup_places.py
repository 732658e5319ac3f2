"""Finding what a command is about: the instance, its targets, and the one backup that is meant."""

from dataclasses import dataclass
from typing import Any

from .client import Server, give_up, server_of

Json = dict[str, Any]

ID_CHARACTERS = 36
PER_PAGE = 200
MOST = 10_000
LATEST = "latest"
LATEST_VERIFIED = "latest-verified"
RESTORABLE = ("succeeded", "degraded")


@dataclass(frozen=True)
class Instance:
    """One instance at one server."""

    server: Server
    project: str
    environment: str
    id: str


def instance_of(url: str, token: str, project: str, environment: str) -> Instance:
    """The instance that is named; one that is not there is refused."""
    server = server_of(url, token)
    return Instance(server, project, environment, server.instance(project, environment)["id"])


def targets_of(instance: Instance) -> list[Json]:
    """What is backed up of an instance."""
    return every(
        instance.server, f"/api/instances/{instance.id}/backup-targets", "backupTargets", most=MOST
    )


def target_of(instance: Instance, which: str) -> Json:
    """The one target of a name or id; when it could be another, nobody guesses."""
    targets = targets_of(instance)
    found = [each for each in targets if which in (each["id"], each["name"])]
    if len(found) > 1:
        ids = ", ".join(each["id"] for each in found[:5])
        give_up(f"{len(found)} targets are called {which!r}; give the id of one: {ids}.")
    if not found:
        known = ", ".join(each["name"] for each in targets) or "none"
        give_up(f"There is no target {which!r}; there is: {known}.")
    return found[0]


def backup_of(
    instance: Instance, which: str, target: str = "", *, may_be_under_way: bool = False
) -> Json:
    """The backup of an id, or the latest one of a target (the only one when none is named).

    The latest is one that can be restored or, where it `may_be_under_way`, one that is being made.
    """
    if which not in (LATEST, LATEST_VERIFIED):
        if len(which) != ID_CHARACTERS:
            give_up(f"{which!r} is no id of a backup; see mainstay backup list, or say latest.")
        named: Json = instance.server.get(f"/api/backups/{which}")
        if named["instanceId"] != instance.id:
            give_up(f"{which} is no backup of {instance.project} {instance.environment}.")
        return named
    chosen = target_of(instance, target) if target else only_target(instance)
    path = f"/api/backup-targets/{chosen['id']}/backups"
    backups = every(instance.server, path, "backups", most=MOST)
    found = next(
        (each for each in backups if _is_meant(each, which, may_be_under_way=may_be_under_way)),
        None,
    )
    if found is None:
        proven = " proven" if which == LATEST_VERIFIED else ""
        give_up(f"{chosen['name']} has no{proven} backup yet; see mainstay backup list.")
    return found


def is_restorable(backup: Json) -> bool:
    """Whether it was stored, and its copies were not removed since."""
    return backup["status"] in RESTORABLE and not backup["removedAt"]


def _is_meant(backup: Json, which: str, *, may_be_under_way: bool) -> bool:
    if which == LATEST_VERIFIED:
        return bool(backup["verifiedAt"]) and is_restorable(backup)
    return is_restorable(backup) or (may_be_under_way and not backup["finishedAt"])


def every(server: Server, path: str, name: str, *, most: int, **asked: str) -> list[Json]:
    """The things of all pages of a list, up to so many."""
    found: list[Json] = []
    cursor = ""
    while len(found) < most:
        page = server.get(path, limit=str(min(PER_PAGE, most)), cursor=cursor, **asked)
        found += page[name]
        cursor = page["nextCursor"] or ""
        if not cursor:
            break
    return found[:most]


def only_target(instance: Instance) -> Json:
    """The target of an instance that has but one; else it has to be said which is meant."""
    targets = targets_of(instance)
    if len(targets) != 1:
        known = ", ".join(each["name"] for each in targets) or "none"
        give_up(f"Say which --target is meant; there is: {known}.")
    return targets[0]
