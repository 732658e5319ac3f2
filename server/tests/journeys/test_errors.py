"""An unmodified sentry-sdk and nothing else: its errors are on the page, grouped and counted."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sentry_sdk
from tests.journeys.running import PROJECT, Mainstay
from tests.waiting import PATIENCE_SECONDS, CalmClock, eventually

pytestmark = pytest.mark.slow

KINDS = 20
EVENTS = 1000
PROCESSES = 10  # an app usually has several, each with an SDK of its own


@pytest.fixture
def sdk(mainstay: Mainstay) -> Iterator[sentry_sdk.Client]:
    client = sentry_sdk.Client(dsn=mainstay.project["dsn"], release="inspections@1.4.2")
    yield client
    client.close(timeout=PATIENCE_SECONDS)


def capture(client: sentry_sdk.Client, fail: Callable[[], object]) -> None:
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        try:
            fail()
        except Exception as error:  # noqa: BLE001 - whatever the app raises is what is sent
            sentry_sdk.capture_exception(error)


def divide(inspected: int, planned: int) -> float:
    share = inspected / planned
    return share * 100


def issues(mainstay: Mainstay, status: str = "unresolved") -> list[dict[str, Any]]:
    found = mainstay.get(f"/api/instances/{mainstay.instance_id}/errors?status={status}&limit=100")
    return list(found["errors"])


def test_a_division_by_zero_is_on_the_issues_page_within_two_seconds(
    mainstay: Mainstay, sdk: sentry_sdk.Client
) -> None:
    calm = CalmClock()
    capture(sdk, lambda: divide(3, 0))
    sdk.flush(timeout=PATIENCE_SECONDS)

    issue = eventually(
        lambda: next((i for i in issues(mainstay) if "division by zero" in i["title"]), None),
        within_seconds=2,
        calm=calm,
    )
    assert issue["title"].startswith("ZeroDivisionError")
    assert issue["count"] == 1
    assert "divide" in issue["culprit"]

    event = mainstay.get(f"/api/errors/{issue['id']}/events?limit=1")["events"][0]
    whole = mainstay.get(f"/api/errors/{issue['id']}/events/{event['eventId']}")
    text = str(whole)
    assert "share = inspected / planned" in text
    assert "'planned': '0'" in text


def test_a_thousand_events_of_twenty_kinds_become_twenty_issues_with_exact_counts(
    mainstay: Mainstay,
) -> None:
    namespace: dict[str, Any] = {}
    for kind in range(KINDS):
        exec(f"def kind_{kind}(n):\n    raise ValueError('inspection %d failed' % n)", namespace)  # noqa: S102 - our own text
    names = [f"kind_{n * n % KINDS if n % 3 else n % KINDS}" for n in range(EVENTS)]

    def send(client: sentry_sdk.Client, part: Sequence[str]) -> None:
        for n, name in enumerate(part):
            capture(client, functools.partial(namespace[name], n))
            if n % 50 == 49:
                client.flush(timeout=PATIENCE_SECONDS)  # its queue holds a hundred
        client.close(timeout=PATIENCE_SECONDS)

    clients = [sentry_sdk.Client(dsn=mainstay.project["dsn"]) for _ in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(send, clients, (names[n::PROCESSES] for n in range(PROCESSES))))

    def counted() -> Counter[str]:
        found = [i for i in issues(mainstay) if i["title"].startswith("ValueError")]
        return Counter({i["culprit"].rsplit(" ", 1)[-1]: i["count"] for i in found})

    eventually(lambda: counted().total() == EVENTS)
    assert counted() == Counter(names)


def test_a_resolved_issue_that_happens_again_is_back(
    mainstay: Mainstay, sdk: sentry_sdk.Client
) -> None:
    def lookup() -> object:
        inspection: dict[str, str] = {}
        return inspection["inspector"]

    capture(sdk, lookup)
    sdk.flush(timeout=PATIENCE_SECONDS)
    issue = eventually(
        lambda: next((i for i in issues(mainstay) if i["title"].startswith("KeyError")), None),
    )
    answer = mainstay.call("PATCH", f"/api/errors/{issue['id']}", json={"status": "resolved"})
    assert answer.status_code == 200
    assert issue["id"] in {i["id"] for i in issues(mainstay, "resolved")}

    capture(sdk, lookup)
    sdk.flush(timeout=PATIENCE_SECONDS)
    eventually(lambda: issue["id"] in {i["id"] for i in issues(mainstay)})


def test_a_second_key_sends_to_the_same_project_and_a_disabled_one_to_none(
    mainstay: Mainstay,
) -> None:
    made = mainstay.call("POST", f"/api/projects/{PROJECT}/ingest-keys", json={"label": "new"})
    assert made.status_code == 201, made.text
    key = made.json()
    number = mainstay.project["number"]
    path = f"/api/{number}/envelope/?sentry_key={key['key']}"
    assert mainstay.call("POST", path, content=b"{}\n").status_code == 200

    mainstay.call("POST", f"/api/projects/{PROJECT}/ingest-keys/{key['id']}/disable")
    eventually(lambda: mainstay.call("POST", path, content=b"{}\n").status_code == 403)
