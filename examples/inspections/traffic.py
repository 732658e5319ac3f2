"""Visitors of the inspections service: a mixture of requests, about as many a second as asked for.

They come as if through a load balancer, which writes their addresses into X-Forwarded-For: people,
customers whose programs have an API key (INSPECTIONS_KEYS, separated by spaces), and two who are up
to no good. The addresses are those that are set aside for documentation.

Standard library only. It ends when its parent process does, or when interrupted.

    python traffic.py http://127.0.0.1:8001 --per-second 10
"""

import argparse
import http.client
import json
import os
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

VISITORS = 12  # requests under way at most; when all wait for the app, the others stay away
TIMEOUT_SECONDS = 10
BURST_EVERY_SECONDS = 20
BURST_SECONDS = 3
BURST_TIMES = 3
CUSTOMERS_SHARE = 0.3
SCANS = ("/.env", "/wp-login.php", "/.git/config", "/admin", "/phpmyadmin/index.php")
BUSY_SITES = (1, 2, 3)
EMPTY_SITE = 4
dice = random.Random()  # noqa: S311 - which page somebody looks at is no secret


@dataclass(frozen=True)
class Visitor:
    """Somebody, by the address and perhaps an API key."""

    address: str
    key: str = ""


PEOPLE = [
    *(Visitor(f"198.51.100.{number}") for number in range(1, 60)),
    *(Visitor(f"2001:db8:{number}::7") for number in range(1, 20)),
]
CUSTOMERS = [
    Visitor(f"192.0.2.{number}", key)
    for number, key in enumerate(os.environ.get("INSPECTIONS_KEYS", "").split(), start=10)
]
SCANNER, SPRAYER = "203.0.113.66", "203.0.113.99"


@dataclass(frozen=True)
class Visit:
    """One request; without a visitor, somebody makes it."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    visitor: Visitor | None = None


def visit_list() -> Visit:
    return Visit("GET", f"/inspections?limit={dice.choice((10, 20, 50))}")


def visit_site() -> Visit:
    return Visit("GET", f"/inspections?site_id={dice.choice(BUSY_SITES)}")


def visit_one() -> Visit:
    return Visit("GET", f"/inspections/{dice.randint(1, 30)}")


def visit_missing() -> Visit:
    return Visit("GET", f"/inspections/{dice.randint(900_000, 999_999)}")


def create() -> Visit:
    """Mostly good vehicles; one in twelve gets the grade that has no wording."""
    inspection = {
        "site_id": dice.choice(BUSY_SITES),
        "vehicle": f"HH-{dice.choice('ABKLTX')} {dice.randint(100, 9999)}",
        "grade": dice.choices("ABCD", weights=(6, 3, 2, 1))[0],
        "defects": dice.randint(0, 9),
    }
    return Visit("POST", "/inspections", json.dumps(inspection).encode())


def create_badly() -> Visit:
    return Visit("POST", "/inspections", b'{"site_id": 1}')


def certificate() -> Visit:
    return Visit("GET", f"/inspections/{dice.randint(1, 30)}/certificate")


def photo() -> Visit:
    body = b"\xff\xd8" + bytes(dice.randint(1_000, 60_000))
    return Visit("POST", f"/inspections/{dice.randint(1, 30)}/photos", body, "image/jpeg")


def photo_of_a_phone() -> Visit:
    path = f"/inspections/{dice.randint(1, 30)}/photos"
    return Visit("POST", path, b"\0\0\0 ftypheic" + bytes(2_000), "image/heic")


def score() -> Visit:
    return Visit("GET", f"/sites/{dice.choice(BUSY_SITES)}/score")


def score_of_nothing() -> Visit:
    return Visit("GET", f"/sites/{EMPTY_SITE}/score")


def report() -> Visit:
    return Visit("GET", f"/reports/2026?pages={dice.choice((5, 20, 40, 80, 300))}")


def endless_report() -> Visit:
    return Visit("GET", "/reports/2025?pages=900")


def scan() -> Visit:
    return Visit("GET", dice.choice(SCANS), visitor=Visitor(SCANNER))


def try_a_key() -> Visit:
    guess = Visitor(SPRAYER, f"mst_production_api_{dice.randbytes(19).hex()}")
    return Visit("GET", "/inspections?limit=100", visitor=guess)


def somebody() -> Visitor:
    """One in three visits is made by a customer's program."""
    return dice.choice(CUSTOMERS if CUSTOMERS and dice.random() < CUSTOMERS_SHARE else PEOPLE)


# How often each happens, in a thousand visits.
VISITS: dict[Callable[[], Visit], int] = {
    visit_list: 287,
    visit_site: 150,
    visit_one: 230,
    visit_missing: 15,
    create: 120,
    create_badly: 10,
    certificate: 45,
    photo: 40,
    photo_of_a_phone: 4,
    score: 45,
    score_of_nothing: 4,
    report: 20,
    endless_report: 5,
    scan: 15,
    try_a_key: 10,
}


def first_visits() -> list[Visit]:
    """Enough inspections for the others to look at, and each bug once."""
    bad = Visit("POST", "/inspections", b'{"site_id": 1, "vehicle": "HH-X 1", "grade": "D"}')
    bugs = [Visit("GET", f"/inspections/{number}/certificate") for number in range(1, 31)]
    return [create() for _ in range(29)] + [bad, *bugs, score_of_nothing(), photo_of_a_phone()]


class Visitors:
    """Threads that make the visits that are put into a short queue."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._waiting: queue.Queue[Visit] = queue.Queue(maxsize=VISITORS)
        for _ in range(VISITORS):
            threading.Thread(target=self._make_visits, daemon=True).start()

    def send(self, visit: Visit, *, patience_seconds: float = 0) -> None:
        """Let somebody make the visit; when all are busy for so long, nobody does."""
        try:
            self._waiting.put(visit, patience_seconds > 0, patience_seconds)
        except queue.Full:
            return

    def _make_visits(self) -> None:
        host, port = self._address.hostname or "127.0.0.1", self._address.port or 80
        while True:
            visit = self._waiting.get()
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
            visitor = visit.visitor or somebody()
            headers = {
                "Content-Type": visit.content_type,
                "User-Agent": "visitor/1.0",
                "X-Forwarded-For": visitor.address,
                **({"X-API-Key": visitor.key} if visitor.key else {}),
            }
            try:
                connection.request(visit.method, visit.path, visit.body or None, headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.5)  # the app is away; it may come back
            finally:
                connection.close()


def visit_for_ever(url: str, *, per_second: float) -> None:
    """Send visits at random moments until the parent process is gone."""
    parent = os.getppid()
    visitors = Visitors(url)
    for visit in first_visits():
        visitors.send(visit, patience_seconds=TIMEOUT_SECONDS)
    kinds, weights = list(VISITS), list(VISITS.values())
    while os.getppid() == parent:
        in_burst = time.monotonic() % BURST_EVERY_SECONDS < BURST_SECONDS
        rate = per_second * (BURST_TIMES if in_burst else 1)
        visitors.send(dice.choices(kinds, weights)[0]())
        time.sleep(min(dice.expovariate(rate), 1.0))


def main() -> None:
    """Read the command line and begin."""
    parser = argparse.ArgumentParser(description="Traffic for the inspections service.")
    parser.add_argument("url")
    parser.add_argument("--per-second", type=float, default=10.0)
    given = parser.parse_args()
    try:
        visit_for_ever(given.url, per_second=given.per_second)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
