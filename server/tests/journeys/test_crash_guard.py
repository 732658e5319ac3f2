"""`kill -9` under the guard: what was acknowledged is there once, and the audit log is whole."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mainstay_cli.audit_verifier.bundles import read_bundle, read_kept
from mainstay_cli.audit_verifier.verifying import verify
from tests.journeys.crashing import asked, kill_and_restart, listed
from tests.journeys.guarding import AGAIN_SECONDS, COST, Operating
from tests.journeys.running import Mainstay, running_mainstay
from tests.servers.http import running_http
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KILLS = 3
EACH = 5  # of each kind at the least, however slow the machine


@contextmanager
def again_and_again(*acts: Callable[[int], None]) -> Iterator[None]:
    """Do each of them, with 0, 1, 2 …, until the end of the block; the last is done to its end."""
    done = threading.Event()

    def run(act: Callable[[int], None]) -> None:
        for number in itertools.count():
            if done.is_set():
                return
            act(number)
            time.sleep(AGAIN_SECONDS)

    with ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(run, act) for act in acts]
        try:
            yield
        finally:
            done.set()
        for each in running:
            each.result()


def test_kills_count_nothing_twice_lose_no_ban_and_break_no_chain(tmp_path: Path) -> None:
    chance = random.Random(20261125)
    data, kept = tmp_path / "data", tmp_path / "kept"
    plans = {"ONLY": {"calls": {"limit": EACH * COST, "mode": "soft"}}}
    with ExitStack() as stack:
        receiver = stack.enter_context(running_http())
        environment = {
            "MAINSTAY_LEASE_SECONDS": "3",
            "MAINSTAY_PLANS": json.dumps(plans),
            "MAINSTAY_DEFAULT_PLAN": "ONLY",
            "MAINSTAY_VULNERABILITIES_UPLOADS_PER_HOUR": "10000",
            "MAINSTAY_AUDIT_CHECKPOINT_ROWS": "5",
            "MAINSTAY_AUDIT_CHECKPOINT_FOLDER": str(kept),
            "MAINSTAY_AUDIT_CHECKPOINT_WEBHOOK_URL": f"{receiver.url}/checkpoints",
        }
        mainstay = stack.enter_context(running_mainstay(environment, data_dir=data))
        doing = Operating(mainstay)
        with again_and_again(doing.report, doing.ban, doing.scan):
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.5, 3.0))
                kill_and_restart(mainstay, chance)
            eventually(lambda: doing.fewest >= EACH)
        eventually(lambda: not asked(data, UNHEARD))

        assert_counted_once(mainstay, data, doing)
        assert_banned_once(mainstay, doing)
        assert_found_once(mainstay, data, doing)
        assert_audited_whole(mainstay, kept)
        assert_one_note_a_size([request.body for request in receiver.requests])
        assert mainstay.stop() == 0


UNHEARD = "SELECT 1 FROM outbox_deliveries WHERE status = 'waiting' LIMIT 1"


def assert_counted_once(mainstay: Mainstay, data: Path, doing: Operating) -> None:
    usage = mainstay.get("/api/v1/usage")
    used = {meter["meter"]: meter["used"] for meter in usage["meters"]}
    assert used["calls"] == len(doing.batches) * COST
    warned = [json.loads(body)["percent"] for body in said(data, "Quota")]
    assert warned == [80, 90, 100]


def assert_banned_once(mainstay: Mainstay, doing: Operating) -> None:
    path = f"/api/instances/{mainstay.instance_id}/bans?limit=200"
    active = Counter(ban["network"] for ban in listed(mainstay, path, "bans") if ban["active"])
    assert active == Counter(doing.banned)


def assert_found_once(mainstay: Mainstay, data: Path, doing: Operating) -> None:
    """Each scan that was acknowledged is there, and each weakness is one, said once."""
    path = f"/api/instances/{mainstay.instance_id}"
    scans = list(listed(mainstay, f"{path}/vulnerability-scans?limit=200", "scans"))
    assert set(doing.scans) <= {scan["id"] for scan in scans}
    found = [
        finding["package"]
        for finding in listed(mainstay, f"{path}/vulnerabilities?limit=200", "vulnerabilities")
    ]
    assert sorted(found) == sorted(set(found))
    assert len(found) == len({scan["source"] for scan in scans})
    assert sum(scan["new"] for scan in scans) == len(found) == len(said(data, "Vulnerabilities"))


def assert_audited_whole(mainstay: Mainstay, kept: Path) -> None:
    """One chain with no gap that leads to every checkpoint which left, and each act in it once."""
    left = read_kept([kept])  # first: that the log is exported is a row, and signed, too
    answer = mainstay.call("GET", "/api/audit-logs", params={"export": "bundle"})
    bundle = read_bundle(answer.content)
    report = verify(bundle, kept=left, trusted=bundle.keys)
    assert report.faults == []
    rows: list[dict[str, Any]] = [json.loads(row) for row in bundle.rows]
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    acts = Counter(
        (row["action"], row["target"]["id"])
        for row in rows
        if row["action"] in ("ban.imposed", "vulnerability_scan.uploaded")
    )
    assert set(acts.values()) == {1}
    path = f"/api/instances/{mainstay.instance_id}"
    scans = [
        scan["id"] for scan in listed(mainstay, f"{path}/vulnerability-scans?limit=200", "scans")
    ]
    bans = [ban["id"] for ban in listed(mainstay, f"{path}/bans?limit=200", "bans")]
    assert {target for _, target in acts} == {*scans, *bans}


def assert_one_note_a_size(bodies: list[bytes]) -> None:
    """A checkpoint may be told again after a kill, but under its key and with the same words."""
    told = {
        (event["subject"], event["id"], event["data"]["checkpoint"])
        for event in map(json.loads, bodies)
    }
    assert len(told) == len({size for size, _, _ in told}) >= KILLS


def said(data: Path, kind: str) -> list[str]:
    """The bodies of all events of a kind, in their order."""
    names = asked(data, "SELECT name, body FROM outbox_events ORDER BY position")
    return [body for name, body in names if name.rpartition(".")[2].startswith(kind)]
