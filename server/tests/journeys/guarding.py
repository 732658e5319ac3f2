"""What an app, its operators and its pipeline do to a guarded instance, and what was promised."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2 as httpx
from tests.journeys.running import PROJECT, Mainstay
from tests.waiting import PATIENCE_SECONDS

COST = 7
AGAIN_SECONDS = 0.2
BACK_SECONDS = 2 * PATIENCE_SECONDS  # it may be killed again while it starts


def until_answered(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Call until somebody answers, through kills and restarts, as an SDK or a pipeline does."""
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        try:
            answer = call()
            if answer.status_code not in (429, 503) or time.monotonic() > deadline:
                return answer
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_SECONDS)


class Operating:
    """What is done to one server, twice at once where that happens, and what it acknowledged."""

    def __init__(self, mainstay: Mainstay) -> None:
        self._mainstay = mainstay
        self._path = f"/api/instances/{mainstay.instance_id}"
        made = mainstay.call("POST", f"/api/projects/{PROJECT}/guard-keys", json={"name": "app"})
        self._guard_key = made.json()["key"]
        self.batches: list[str] = []
        self.banned: list[str] = []
        self.scans: list[str] = []

    @property
    def fewest(self) -> int:
        """How many of each kind were acknowledged, at the least."""
        return min(map(len, (self.batches, self.banned, self.scans)))

    def report(self, _number: int) -> None:
        """Report what passed, under one batch id until it is acknowledged, and once more."""
        batch_id = uuid4().hex
        self._twice(lambda: self.send_report(batch_id), 200)
        self.batches.append(batch_id)

    def ban(self, number: int) -> None:
        """Ban an address; that it is banned already says that an unanswered try was kept."""
        answer = until_answered(lambda: self.send_ban(number))
        assert answer.status_code in (201, 409), answer.text
        self.banned.append(f"{address_of(number)}/32")

    def scan(self, number: int) -> None:
        """Upload a scan that names a package which no other names, twice at the same time."""
        answers = self._twice(lambda: self.send_scan(number), 201)
        self.scans += [answer.json()["id"] for answer in answers]

    def send_report(self, batch_id: str) -> httpx.Response:
        """Say once what passed."""
        passage = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "method": "GET",
            "route": "/api/insights",
            "status": 200,
            "count": COST,
            "cost": COST,
        }
        body = {"environment": "production", "batchId": batch_id, "passages": [passage]}
        headers = {"authorization": f"Bearer {self._guard_key}"}
        return self._mainstay.ask("POST", "/api/guard/report", json=body, headers=headers)

    def send_ban(self, number: int) -> httpx.Response:
        """Ask once for a ban."""
        asking = {"network": address_of(number), "minutes": 600}
        return self._mainstay.call("POST", f"{self._path}/bans", json=asking)

    def send_scan(self, number: int) -> httpx.Response:
        """Upload a scan once."""
        named = {"id": f"PYSEC-2026-{number}", "fix_versions": ["2"], "aliases": []}
        package = {"name": f"package-{number}", "version": "1", "vulns": [named]}
        return self._mainstay.call(
            "POST",
            f"{self._path}/vulnerability-scans",
            params={"source": f"audit-{number}", "branch": "main"},
            json={"dependencies": [package], "fixes": []},
        )

    def _twice(self, send: Callable[[], httpx.Response], status: int) -> list[httpx.Response]:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(until_answered, [send, send]))
        assert {answer.status_code for answer in answers} == {status}, answers[0].text
        return answers


def address_of(number: int) -> str:
    """An address that nobody has (RFC 5737 and its neighbours), another one for each number."""
    return f"198.51.{number // 250}.{number % 250 + 1}"
