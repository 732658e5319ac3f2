"""Whatever Alice changes by the API, with the documented examples, is said to the audit log."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.events import Audited, said_events
from tests.world import World

VERBS = ("post", "put", "patch", "delete")
LEAST_TRIED = 15
# What changes nothing that anybody administers, by operation.
NOT_AUDITED = {
    "actOnSeveralAlerts": "the example's alert is not there; each that is taken or ended is said",
    "findMissingSyncChunks": "asks; what is there is only left alone for a while",
    "sendSyncChunks": "stores what no folder has yet; the push of a snapshot is said",
    "checkBackupTarget": "asks a database whether it answers; nothing is kept",
    "endOtherSessions": "there are no others here; each that ends is said",
    "makeUploadUrl": "reserves room for a file; apps do so all the time",
    "previewSilence": "tells what would be held; nothing is kept",
    "previewMaintenance": "works out what would be; nothing is kept",
    "previewEmailTemplate": "renders; nothing is kept",
    "sendEmail": "sends, as often as an app does; each mail is listed with who made it",
    "planConfiguration": "asks what would change; it is undone",
    "removeStorageFiles": "the example's file is not there; those that are deleted are said",
    "reportLeakedApiKeys": "the example's key is nobody's; one that is found is revoked, and said",
    "resendAlertNotifications": "none failed here; each that is sent again is said",
    "runHealthCheck": "asks the app once more; nothing is different afterwards",
    "testAlertRoutes": "tells who would hear; nothing is kept",
    "useMeter": "counts what was used, as often as an app is called",
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(*AREAS)


def test_each_change_by_the_api_is_said_to_the_audit_log(world: World) -> None:
    document = world.alice.get("/api/openapi.json").json()
    tried, silent = [], []
    for method, path, operation in changes(document):
        before = last_position()
        answer = world.alice.request(method, filled(path, world), **body_of(operation))
        if not answer.is_success:
            continue
        tried.append(operation["operationId"])
        if not said_after(before) and operation["operationId"] not in NOT_AUDITED:
            silent.append(f"{method} {path} ({operation['operationId']})")
    assert silent == [], "say an audited event, or give a reason in NOT_AUDITED"
    assert len(tried) >= LEAST_TRIED, tried


def changes(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Removing last, so that there is something to change before."""
    found = [
        (verb.upper(), path, item[verb])
        for path, item in document["paths"].items()
        for verb in VERBS
        if verb in item and "{number}" not in path and path != "/api/cron"
    ]
    yield from sorted(found, key=lambda one: (one[0] == "DELETE", one[1]))


def body_of(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}
    examples = [one["value"] for one in content.get("examples", {}).values()]
    return {"json": examples[-1] if examples else content["example"]}


def filled(path: str, world: World) -> str:
    known = {
        "instanceId": world.instance.id,
        "slug": world.instance.project_slug,
        "type": "instance_down",
        "personId": world.bob.person_id,
        "name": "default",
        "keyId": ingest_key(world),
    }
    return re.sub(r"{(\w+)}", lambda found: known.get(found[1], "0" * 36), path)


def ingest_key(world: World) -> str:
    listed = world.alice.get(f"/api/projects/{world.instance.project_slug}/ingest-keys")
    key: str = listed.json()["ingestKeys"][0]["id"]
    return key


def last_position() -> int:
    with reading() as session:
        return max((position for position, _ in said_events(session)), default=0)


def said_after(position: int) -> bool:
    with reading() as session:
        return any(isinstance(event, Audited) for _, event in said_events(session, after=position))
