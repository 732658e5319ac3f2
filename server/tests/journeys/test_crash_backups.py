"""`kill -9` in the middle of a backup: nothing stays running, half-written, or an open upload."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import psycopg
import pyrage
import pytest
from mainstay_server.kernel.copies.opened import open_destination
from mainstay_server.kernel.copies.running import Reading, ReadPlan
from tests.journeys.crashing import asked
from tests.journeys.running import PROJECT, Mainstay, running_mainstay
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.s3 import S3Server, running_s3
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KILLS = 10
ROWS = 48
ROW_BYTES = 1 << 20
LEASE_SECONDS = 3
IDENTITY = pyrage.x25519.Identity.generate()


def fill(server: PostgresServer) -> str:
    """A database of 48 MiB that cannot be compressed; returns its URL."""
    dsn = server.dsn_of(server.new_database())
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE scans (id int PRIMARY KEY, content bytea)")
        for n in range(ROWS):
            connection.execute("INSERT INTO scans VALUES (%s, %s)", (n, os.urandom(ROW_BYTES)))
    return dsn


class BackedUp:
    """The database as a target of a server that goes to a bucket alone."""

    def __init__(self, mainstay: Mainstay, s3: S3Server, dsn: str, data: Path) -> None:
        self._mainstay, self._data = mainstay, data
        self.bucket = s3.new_bucket("nightly")
        self._uploads = f"{s3.endpoint}/{urlsplit(self.bucket).netloc}?uploads"
        place = self._made(
            f"/api/projects/{PROJECT}/backup-destinations",
            {"name": "off-site", "kind": "s3", "url": self.bucket},
        )
        self._target = self._made(
            f"/api/instances/{mainstay.instance_id}/backup-targets",
            {
                "name": "scans",
                "engine": "postgresql",
                "config": {"url": dsn},
                "recipients": [str(IDENTITY.to_public())],
                "destinationIds": [place["id"]],
                "enabled": False,
                "drills": "off",
            },
        )

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._mainstay.call("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self) -> str:
        """Want a backup now; returns its id."""
        return str(self._made(f"/api/backup-targets/{self._target['id']}/backups", {})["id"])

    def seen(self, backup_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._mainstay.get(f"/api/backups/{backup_id}")
        return found

    def wait_for(self, backup_id: str, *statuses: str) -> dict[str, Any]:
        found: dict[str, Any] = eventually(
            lambda: (seen := self.seen(backup_id))["status"] in statuses and seen
        )
        return found

    def rows(self) -> Iterator[tuple[Any, ...]]:
        yield from asked(self._data, "SELECT id, status, key, is_swept FROM backups ORDER BY id")

    def statuses(self) -> dict[str, str]:
        return {backup_id: status for backup_id, status, *_ in self.rows()}

    def open_uploads(self) -> int:
        return httpx.get(self._uploads).text.count("<Upload>")

    def is_swept(self) -> bool:
        return all(swept for *_, swept in self.rows())

    def assert_nothing_but_whole_backups(self) -> None:
        """What lies in the bucket are objects and manifests of backups that the history names."""
        stored = {backup: key for backup, status, key, _ in self.rows() if status == "succeeded"}
        place = open_destination(self.bucket)
        keys = set(place.keys(""))
        for backup_id, key in stored.items():
            mine = {each for each in keys if backup_id in each}
            assert {each.partition(backup_id)[2] for each in mine} == {
                ".pgdump.zst.age",
                ".globals.sql.zst.age",
                ".manifest.json",
            }
            plan = ReadPlan(key, self.bucket, [str(IDENTITY)])
            with Reading(plan) as reading:
                assert reading.found().fault is None
            keys -= mine
        assert keys == set(), "left by runs that were killed"
        assert self.open_uploads() == 0


def test_kills_at_ten_points_leave_nothing_and_the_next_run_is_green(tmp_path: Path) -> None:
    chance = random.Random(20261126)
    data = tmp_path / "data"
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        s3 = stack.enter_context(running_s3())
        environment = {"MAINSTAY_LEASE_SECONDS": str(LEASE_SECONDS)}
        mainstay = stack.enter_context(running_mainstay(environment, data_dir=data))
        backed_up = BackedUp(mainstay, s3, fill(postgres), data)
        first = backed_up.ask()
        done = backed_up.wait_for(first, "succeeded", "failed")
        assert done["status"] == "succeeded", done
        begun, over = (datetime.fromisoformat(done[name]) for name in ("startedAt", "finishedAt"))

        ended, killed_inside = [], 0
        for _ in range(KILLS):
            backup_id = backed_up.ask()
            backed_up.wait_for(backup_id, "running", "succeeded")
            time.sleep(chance.uniform(0, (over - begun).total_seconds()))
            mainstay.kill()
            killed_inside += backed_up.statuses()[backup_id] == "running"
            mainstay.start()
            ended.append(backed_up.wait_for(backup_id, "failed", "succeeded")["status"])
            eventually(backed_up.is_swept)
            backed_up.assert_nothing_but_whole_backups()

        assert killed_inside >= KILLS // 2, "most kills came too late to prove anything"
        assert ended.count("failed") == killed_inside
        last = backed_up.wait_for(backed_up.ask(), "succeeded", "failed")
        assert last["status"] == "succeeded", last
        backed_up.assert_nothing_but_whole_backups()
        assert set(backed_up.statuses().values()) == {"succeeded", "failed"}
        assert mainstay.stop() == 0
