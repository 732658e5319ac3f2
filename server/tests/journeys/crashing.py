"""Killing the real program under load, and finding out what that did: the test and the soak."""

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
from tests.journeys.loads import FlakyReceiver, Sent, flaky_receiver, kind_of, sending_to
from tests.journeys.running import PROJECT, Mainstay, running_mainstay
from tests.servers.http import HttpReceiver, running_http
from tests.waiting import PATIENCE_SECONDS, eventually
from typing_extensions import override

LEASE_SECONDS = 3
INTERVAL_SECONDS = 5
GATHERED_SECONDS = 3
APPS = 3
LASTING = 21  # odd, so that what is ended later is not what was ended at once
FINISHED_SECONDS = 60 + PATIENCE_SECONDS  # the job that counts what a crash left runs once a minute
TOLD_SECONDS = 60 + PATIENCE_SECONDS
STORED_SQL = "SELECT event_id, issue_id FROM error_events FORMAT JSONEachRow"


@dataclass(frozen=True, kw_only=True)
class Notified:
    """One notification that the history says is due: which change of which alert."""

    alert_id: str
    change: str


@dataclass(kw_only=True)
class Aftermath:
    """What was found after the last restart and a clean stop."""

    kills: int = 0
    tries: Sequence[Sent] = ()
    issues: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Kind and count of each issue, by its id."""
    stored: Sequence[tuple[str, str]] = ()
    """Event id and issue id of each row."""
    due: set[Notified] = field(default_factory=set)
    taken: set[Notified] = field(default_factory=set)
    keys: Mapping[Notified, set[str]] = field(default_factory=dict)
    lost_alerts: Sequence[str] = ()
    still_running: Sequence[str] = ()

    @property
    def acknowledged(self) -> dict[str, int]:
        """The kind of each acknowledged event."""
        return {sent.event_id: sent.kind for sent in self.tries if sent.acknowledged}

    @override
    def __str__(self) -> str:
        broken = sum(not sent.acknowledged for sent in self.tries)
        return (
            f"{self.kills} kills: {len(self.acknowledged)} events acknowledged, {broken} tries not;"
            f" {len(self.stored)} stored; {len(self.due)} notifications due,"
            f" {sum(map(len, self.keys.values()))} idempotency keys seen"
        )


def faults_of(found: Aftermath) -> list[str]:
    """Everything that breaks a promise, in words; empty when all were kept."""
    rows = defaultdict(list)
    for event_id, issue_id in found.stored:
        rows[event_id].append(issue_id)
    kinds = {issue_id: kind for issue_id, (kind, _) in found.issues.items()}
    lost = [e for e in found.acknowledged if e not in rows]
    misfiled = [
        e for e, kind in found.acknowledged.items() if e in rows and kinds[rows[e][0]] != kind
    ]
    doubled = [e for e, issues in rows.items() if len(issues) > 1]
    stored = Counter(issue_id for _, issue_id in found.stored)
    counted = {issue_id: count for issue_id, (_, count) in found.issues.items()}
    keys = {told: seen for told, seen in found.keys.items() if len(seen) > 1}
    every = {
        "acknowledged events are not stored": lost,
        "acknowledged events are in another issue": misfiled,
        "events are stored twice": doubled,
        "issues have a wrong count (stored)": [
            f"{i}: {counted.get(i)} ({stored[i]})"
            for i in {*stored, *counted}
            if counted.get(i) != stored[i]
        ],
        "acknowledged alerts are not in the history": list(found.lost_alerts),
        "notifications were never taken": sorted(map(str, found.due - found.taken)),
        "notifications came under several idempotency keys": sorted(map(str, keys)),
        "things are still running": list(found.still_running),
        "sends hung": [s.event_id for s in found.tries if s.seconds > 15],
        "sends were refused for good": [
            f"{s.status} {s.event_id}"
            for s in found.tries
            if 300 <= s.status < 500 and s.status != 429
        ],
    }
    return [f"{len(what)} {text}: {what[:5]}" for text, what in every.items() if what]


def endure(folder: Path, *, kills: int, seed: int, senders: int = 200) -> Aftermath:
    """Send, break apps, fail to be told, kill again and again; then look at what is left."""
    chance = random.Random(seed)
    data = folder / "data"
    with ExitStack() as stack:
        apps = [stack.enter_context(running_http()) for _ in range(APPS)]
        receiver = stack.enter_context(flaky_receiver(seed))
        mainstay = stack.enter_context(
            running_mainstay(
                {
                    "MAINSTAY_LEASE_SECONDS": str(LEASE_SECONDS),
                    "MAINSTAY_ALERTS_GROUP_INTERVAL_SECONDS": str(GATHERED_SECONDS),
                },
                data_dir=data,
            )
        )
        instances = [watch(mainstay, app, receiver, f"crash-{n}") for n, app in enumerate(apps)]
        instances.append(told_of_issues(mainstay, receiver))
        project = mainstay.project
        with (
            sending_to(project, mainstay.url, folder, senders=senders) as sending,
            flapping(apps, chance),
            alerting(mainstay, instances[-1], chance) as alerts,
        ):
            for _ in range(kills):
                time.sleep(chance.uniform(0.5, 4.0))
                kill_and_restart(mainstay, chance)
            time.sleep(1)
            tries = sending.stop()
        receiver.is_well = True
        restarted = time.time()
        eventually(lambda: finished_since(data, restarted), within_seconds=FINISHED_SECONDS)
        due = all_told(mainstay, instances, receiver)
        opened = {alert["id"] for one in instances for alert in alerts_of(mainstay, one)}
        time.sleep(LEASE_SECONDS)
        running = held_by_others(data, mainstay.pid)
        issues = issues_of(mainstay)
        assert mainstay.stop() == 0
        return Aftermath(
            kills=kills,
            tries=tries,
            issues=issues,
            stored=stored_in(data),
            due=due,
            taken=taken_by(receiver),
            keys=keys_of(receiver),
            lost_alerts=[alert for alert in alerts if alert not in opened],
            still_running=[*running, *held_by_others(data, 0)],
        )


def watch(mainstay: Mainstay, app: HttpReceiver, receiver: HttpReceiver, environment: str) -> str:
    """Have an app asked every five seconds, and the receiver told; returns the instance's id."""
    made = mainstay.call(
        "POST",
        "/api/instances",
        json={
            "project": PROJECT,
            "environment": environment,
            "url": app.url,
            "intervalSeconds": INTERVAL_SECONDS,
            "timeoutSeconds": INTERVAL_SECONDS,
            "degradedAfterMs": INTERVAL_SECONDS * 1000,
        },
    )
    assert made.status_code == 201, made.text
    tell(mainstay, made.json()["id"], receiver)
    return str(made.json()["id"])


def told_of_issues(mainstay: Mainstay, receiver: HttpReceiver) -> str:
    tell(mainstay, mainstay.instance_id, receiver)
    return mainstay.instance_id


def tell(mainstay: Mainstay, instance_id: str, receiver: HttpReceiver) -> None:
    """Add the receiver as an alert channel of an instance."""
    added = mainstay.call(
        "POST",
        f"/api/instances/{instance_id}/alert-channels",
        json={"type": "webhook", "config": {"webhookUrl": receiver.url + "/hook"}},
    )
    assert added.status_code == 201, added.text


@contextmanager
def flapping(apps: Sequence[HttpReceiver], chance: random.Random) -> Iterator[None]:
    """Let apps go down and up until the end of the block; all are up afterwards."""
    done = threading.Event()

    def flap() -> None:
        while not done.wait(chance.uniform(1.0, 3.0)):
            app = chance.choice(apps)
            app.stop()
            done.wait(INTERVAL_SECONDS + 2)
            app.start()

    thread = threading.Thread(target=flap, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


@contextmanager
def alerting(
    mainstay: Mainstay,
    instance_id: str,
    chance: random.Random,
    *,
    pauses_seconds: tuple[float, float] = (0.2, 0.6),
) -> Iterator[list[str]]:
    """Open alerts by hand; yields the ids that were acknowledged.

    Every second alert is ended at once, the others when they have long been told.
    """
    done = threading.Event()
    acknowledged: list[str] = []
    path = f"/api/instances/{instance_id}/alerts"

    def act() -> None:
        body = {"type": "backup_failed", "severity": "warning", "title": f"Alert {uuid4().hex}"}
        opened = mainstay.call("POST", path, json=body)
        if not opened.is_success:
            return
        acknowledged.append(opened.json()["id"])
        if len(acknowledged) % 2:
            end(acknowledged[-1])
        elif len(acknowledged) > LASTING:
            end(acknowledged[-LASTING])

    def end(alert_id: str) -> None:
        mainstay.call("POST", path, json={"alertId": alert_id, "action": "resolve"})

    def run() -> None:
        while not done.wait(chance.uniform(*pauses_seconds)):
            with suppress(httpx.HTTPError):  # killed in the middle: nothing was promised
                act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield acknowledged
    finally:
        done.set()
        thread.join(30)


def kill_and_restart(mainstay: Mainstay, chance: random.Random) -> None:
    """Kill the server, at times also while it starts, and start it on the same data and port."""
    mainstay.kill()
    if chance.random() < 0.25:
        again = threading.Timer(chance.uniform(0.3, 3.0), mainstay.kill)
        again.start()
        with suppress(RuntimeError):
            mainstay.start()
        again.join()
        mainstay.kill()
    mainstay.start()


def all_told(
    mainstay: Mainstay, instances: Sequence[str], receiver: FlakyReceiver
) -> set[Notified]:
    """Wait until all that is due was taken, or the time is over; returns what is due."""
    deadline = time.monotonic() + TOLD_SECONDS
    while True:
        taken = taken_by(receiver)
        due = {told for instance in instances for told in due_of(mainstay, instance, taken)}
        if due <= taken or time.monotonic() > deadline:
            return due
        time.sleep(0.5)


def due_of(mainstay: Mainstay, instance_id: str, taken: set[Notified]) -> Iterator[Notified]:
    """The notifications that the alert history says are due.

    What lasts is told. What is over is told with its end or not at all, for it may have ended while
    it was gathered. The apps answer fast, so none of the alerts takes another's place.
    """
    for alert in alerts_of(mainstay, instance_id):
        opened = Notified(alert_id=alert["id"], change="alert.opened")
        resolved = Notified(alert_id=alert["id"], change="alert.resolved")
        if not alert.get("resolvedAt"):
            yield opened
        elif opened in taken or resolved in taken:
            yield opened
            yield resolved


def alerts_of(mainstay: Mainstay, instance_id: str) -> Iterator[dict[str, Any]]:
    """Every alert of an instance."""
    return listed(mainstay, f"/api/instances/{instance_id}/alerts?limit=100", "alerts")


def listed(mainstay: Mainstay, path: str, name: str) -> Iterator[dict[str, Any]]:
    """Every row of a list of the API."""
    page = mainstay.get(path)
    yield from page[name]
    while page.get("nextCursor"):
        page = mainstay.get(f"{path}&cursor={page['nextCursor']}")
        yield from page[name]


def told_by(body: bytes) -> Notified:
    """Which notification a webhook's body is."""
    message = json.loads(body)
    return Notified(alert_id=message["alert"]["id"], change=message["type"])


def all_told_by(body: bytes) -> set[Notified]:
    """Every notification that a webhook's body is: one, or those that it gathers."""
    message = json.loads(body)
    gathered = message.get("digest", {"alerts": [message["alert"]]})["alerts"]
    return {Notified(alert_id=alert["id"], change=message["type"]) for alert in gathered}


def taken_by(receiver: FlakyReceiver) -> set[Notified]:
    """Every notification that the receiver answered with success."""
    return {told for received in receiver.taken() for told in all_told_by(received.body)}


def keys_of(receiver: FlakyReceiver) -> dict[Notified, set[str]]:
    """The idempotency keys under which each notification came, whatever was answered."""
    keys: dict[Notified, set[str]] = defaultdict(set)
    for received, _ in receiver.answered:
        for told in all_told_by(received.body):
            keys[told].add(received.headers["idempotency-key"])
    return keys


def issues_of(mainstay: Mainstay) -> dict[str, tuple[int, int]]:
    """Kind and count of each issue, as the API tells them."""
    path = f"/api/instances/{mainstay.instance_id}/errors?status=unresolved&limit=100"
    return {
        issue["id"]: (kind_of(issue["title"]), issue["count"])
        for issue in listed(mainstay, path, "errors")
    }


def finished_since(data: Path, since: float) -> bool:
    """Whether the job that counts what crashes left has run after a moment."""
    rows = asked(data, "SELECT finished_at FROM jobs WHERE name = 'errors.finish_crashed'")
    return any(at and datetime.fromisoformat(f"{at}+00:00").timestamp() > since for (at,) in rows)


def held_by_others(data: Path, pid: int) -> list[str]:
    """What the database says is being worked on by processes other than one."""
    rows = asked(
        data,
        "SELECT 'job ' || name, owner FROM jobs WHERE owner != '' UNION ALL"
        " SELECT 'delivery ' || id, owner FROM outbox_deliveries"
        " WHERE owner != '' AND status = 'waiting' UNION ALL"
        " SELECT 'health check ' || id, owner FROM health_checks WHERE owner != ''",
    )
    return [f"{what} by {owner}" for what, owner in rows if owner.split("/")[1] != str(pid)]


def asked(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the embedded database beside the server that has it open."""
    connection = sqlite3.connect(
        f"file:{data / 'mainstay.db'}?mode=ro", uri=True, timeout=PATIENCE_SECONDS
    )
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def stored_in(data: Path) -> list[tuple[str, str]]:
    """Event id and issue id of each stored row; from a process of its own, as one may have it."""
    asking = (
        "import chdb, sys\n"
        "sys.stdout.buffer.write(chdb.connect(sys.argv[1]).query(sys.argv[2]).bytes() or b'')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", asking, str((data / "columns").resolve()), STORED_SQL],
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    rows = (json.loads(line) for line in answer.stdout.splitlines())
    return [(row["event_id"], row["issue_id"]) for row in rows]
