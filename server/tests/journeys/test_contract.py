"""The contract: the running server does what its OpenAPI document says, whatever is sent."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema_rs import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.journeys.responding_things import make_what_responds
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay
from tests.journeys.watched_things import make_what_is_planned
from tests.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
A_REPORT = b'<testsuite><testcase name="an order is paid once"/></testsuite>'
CRON_SECRET = "cron-secret-of-the-contract"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 6}
# What may be refused however well it is asked, since the test keeps what it asks about.
REMOVING = {"amExpireSilence", "liftBan", "revokeStorageLink", "removeStorageFiles"}
FOR_BROWSERS = {"changePassword", "endOtherSessions", "endSession", "switchOrganization"}
ABOUT_WHAT_IS_NOT_THERE = {
    "cancelBackup",
    "cancelBackupRestore",
    "cancelWindow",
    "checkBackupRestore",
    "createBackupDrill",
    "createBackupRestore",
    "getBackupDrill",
    "completeUpload",
    "getBackupManifest",
    "getBackupRestore",
    "getRecoverySheet",
    "verifyBackup",
    "changeMemberRole",
    "correctHealthCheck",
    "createInstance",
    "resendAlertNotification",
    "rotateApiKey",
    "giveIncidentRole",
    "joinIncidentAlert",
    "revokeGuardKey",
    "runRemediationAction",
    "tellIncident",
}
# The check is asked after the allowlist and bans were changed in every way; of several buckets the
# one that is meant has to be named, and so do jobs by their slug and targets of probes.
HARD_TO_GUESS = {"createAlertChannel", "createProjectAlertChannel", "sendEnvelope"} | {
    "addCalendar",
    "changePolicy",
    "changeRemediationAction",
    "changeSchedule",
    "createAlertInhibition",
    "createAlertRoute",
    "createEventRule",
    "listShifts",
    "makeOverride",
    "makePolicy",
    "makeSchedule",
    "previewMeasureRule",
    "addHeartbeat",
    "amPutSilence",
    "changeSilence",
    "createSilence",
    "previewSilence",
    "pingByName",
    "pingByNameWithBody",
    "previewHeartbeatSchedule",
    "probeTarget",
    "receiveResendEvent",
    "sendCheckIn",
    "sendCheckInByQuery",
    "sendEmail",
    "sendEmailByDsn",
    "checkGuard",
    "checkGuardByPost",
    "checkBackupTarget",
    "createBackupTarget",
    "createStorageLink",
    "downloadSyncFile",
    "fetchFile",
    "fetchSyncChunks",
    "getDownloadUrl",
    "getStorageStats",
    "listStorageFiles",
    "makeUploadUrl",
    "pushSyncSnapshot",
    "removeStorageFile",
    "removeStorageFiles",
    "restoreSyncFile",
    "sendFile",
    "sendSyncChunks",
    "uploadResults",
    "uploadVulnerabilityScan",
}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
FEW = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def mainstay() -> Iterator[Mainstay]:
    with running_mainstay({"MAINSTAY_CRON_SECRET": CRON_SECRET}) as server:
        yield server


@pytest.fixture
def untouched() -> Iterator[Mainstay]:
    """A server of its own for a test that leaves it in any state."""
    with running_mainstay({"MAINSTAY_CRON_SECRET": CRON_SECRET}) as server:
        yield server


@pytest.fixture(scope="module")
def document(mainstay: Mainstay) -> dict[str, Any]:
    found: dict[str, Any] = mainstay.ask("GET", "/api/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def known(mainstay: Mainstay) -> dict[str, str]:
    return things_made_on(mainstay)


def things_made_on(mainstay: Mainstay) -> dict[str, str]:
    """What is there to be asked about: the names of path parameters, and a value for each."""
    project = mainstay.project
    ids = {"instanceId": mainstay.instance_id, "slug": PROJECT, "number": str(project["number"])}
    event = {"message": "The inspection queue is empty", "level": "error"}
    stored = mainstay.ask(
        "POST",
        f"/api/{project['number']}/store/",
        json=event,
        headers={"x-sentry-auth": f"Sentry sentry_key={project['ingestKey']}"},
    )
    assert stored.status_code == 200
    errors = f"/api/instances/{mainstay.instance_id}/errors"
    (issue,) = eventually(lambda: mainstay.get(errors)["errors"])
    ids |= {"issueId": issue["id"], "eventId": stored.json()["id"]}
    ids["findingId"] = a_finding(mainstay)
    ids["bucketId"] = a_bucket(mainstay)
    ids |= a_status_page(mainstay)
    ids |= what_is_backed_up(mainstay)
    ids |= a_synced_folder(mainstay)
    ids |= a_heartbeat(mainstay)
    ids |= what_is_planned(mainstay)
    ids |= what_responds(mainstay, ids | what_may_be_switched_off(mainstay))
    uploaded = mainstay.call("POST", f"/api/projects/{PROJECT}/results", content=A_REPORT)
    ids["resultId"] = uploaded.json()["id"]
    return ids | what_may_be_switched_off(mainstay)


def what_responds(mainstay: Mainstay, ids: dict[str, str]) -> dict[str, str]:
    def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = mainstay.call("POST", path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    (owner,) = mainstay.get("/api/members")["members"]
    return make_what_responds(mainstay, made, ids, person_id=owner["personId"])


def a_finding(mainstay: Mainstay) -> str:
    """The id of what the document's own example of a scan names."""
    document = mainstay.ask("GET", "/api/openapi.json").json()
    path = "/api/instances/{instanceId}/vulnerability-scans"
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    instance = f"/api/instances/{mainstay.instance_id}"
    answer = mainstay.call("POST", f"{instance}/vulnerability-scans", json=body["example"])
    assert answer.status_code == 201, answer.text
    found: str = mainstay.get(f"{instance}/vulnerabilities")["vulnerabilities"][0]["id"]
    return found


def what_is_backed_up(mainstay: Mainstay) -> dict[str, str]:
    """A database that nobody can reach, with a backup that was asked for, and a destination."""
    instance = f"/api/instances/{mainstay.instance_id}"
    ids = {}
    for name, path, body in (
        (
            "destinationId",
            f"/api/projects/{PROJECT}/backup-destinations",
            {"name": str(uuid4()), "kind": "server"},
        ),
        (
            "targetId",
            f"{instance}/backup-targets",
            {
                "name": str(uuid4()),
                "engine": "postgresql",
                "config": {"url": "postgresql://me:secret@127.0.0.1:9/orders"},
                "newKey": "shown",
                "enabled": False,
            },
        ),
    ):
        answer = mainstay.call("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        ids[name] = answer.json()["id"]
    asked = mainstay.call("POST", f"/api/backup-targets/{ids['targetId']}/backups")
    assert asked.status_code == 201, asked.text
    return {**ids, "backupId": asked.json()["id"]}


def a_status_page(mainstay: Mainstay) -> dict[str, str]:
    """A page with one of everything that may be on it."""
    page = "/api/status-pages"
    later = {"startsAt": "2099-01-01T02:00:00Z", "endsAt": "2099-01-01T03:00:00Z"}
    ids: dict[str, str] = {}
    for name, path, body in (
        ("pageId", page, {"name": "Acme"}),
        ("componentId", f"{page}/{{}}/components", {"name": "API"}),
        ("groupId", f"{page}/{{}}/groups", {"name": "Shop"}),
        ("reportId", f"{page}/{{}}/reports", {"title": "Slow answers"}),
        ("announcementId", f"{page}/{{}}/maintenances", {"title": "Disks", **later}),
    ):
        answer = mainstay.call("POST", path.format(ids.get("pageId")), json=body)
        assert answer.status_code == 201, answer.text
        ids[name] = answer.json()["id"]
    return ids


def a_heartbeat(mainstay: Mainstay) -> dict[str, str]:
    """A job that reported once, with the project's own slug, since that is what slugs are here."""
    instance = f"/api/instances/{mainstay.instance_id}"
    beats = mainstay.get(f"{instance}/heartbeats?q={PROJECT}")["heartbeats"]
    if not beats:
        answer = mainstay.call("POST", f"{instance}/heartbeats", json={"name": PROJECT})
        assert answer.status_code == 201, answer.text
        beats = [answer.json()]
    uuid = beats[0]["pingUrl"].rpartition("/")[2]
    assert mainstay.ask("POST", f"/ping/{uuid}", content=b"3.2 GB").is_success
    keys = mainstay.get(f"{instance}/heartbeat-keys")["keys"]
    return {
        "heartbeatId": beats[0]["id"],
        "uuid": uuid,
        "token": uuid,
        "signal": "start",
        "pingNumber": "1",
        "pingKey": next(key["key"] for key in keys if key["kind"] == "ping"),
    }


def what_is_planned(mainstay: Mainstay) -> dict[str, str]:
    """Maintenance, an objective and a probe."""

    def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = mainstay.call("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return make_what_is_planned(mainstay, made)


def a_bucket(mainstay: Mainstay) -> str:
    """The id of a bucket with nothing in it."""
    path = f"/api/instances/{mainstay.instance_id}/buckets"
    answer = mainstay.call("POST", path, json={"name": str(uuid4())})
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def a_synced_folder(mainstay: Mainstay) -> dict[str, str]:
    """A folder with a snapshot, as the document's own examples make it."""
    document = mainstay.ask("GET", "/api/openapi.json").json()
    project = f"/api/projects/{PROJECT}"
    for path, media in (
        ("/sync-folders", "application/json"),
        ("/sync-chunks", "application/octet-stream"),
        ("/sync-folders/{folder}/snapshots", "application/json"),
    ):
        operation = document["paths"][f"/api/projects/{{slug}}{path}"]["post"]
        example = operation["requestBody"]["content"][media]["example"]
        content = example if isinstance(example, str) else json.dumps(example)
        answer = mainstay.ask(
            "POST",
            f"{project}{path}".replace("{folder}", "reports"),
            content=content,
            headers={**AUTHORIZED, "content-type": media},
        )
        assert answer.status_code == 201, answer.text
    return {"folder": "reports", "snapshot": "1"}


def bearer(key: str) -> dict[str, str]:
    """A key as a bearer token."""
    return {"authorization": f"Bearer {key}"}


def credentials_of_the_guard(mainstay: Mainstay) -> dict[str, dict[str, str]]:
    """What opens the guard's paths: an API key for its check, a guard key for the others."""
    keys = {}
    for path in (
        f"/api/instances/{mainstay.instance_id}/api-keys",
        "/api/projects/inspections/guard-keys",
    ):
        answer = mainstay.call("POST", path, json={"name": "contract"})
        assert answer.status_code == 201, answer.text
        keys[path.rpartition("/")[2]] = {"authorization": f"Bearer {answer.json()['key']}"}
    return {"/api/guard/check": keys["api-keys"], "/api/guard/": keys["guard-keys"]}


MADE_AGAIN = ("{checkId}", "{channelId}", "{apiKeyId}", "{keyId}", "{limitName}")


def what_may_be_switched_off(mainstay: Mainstay) -> dict[str, str]:
    """A check, a channel and a key as they are when they are new."""
    instance = f"/api/instances/{mainstay.instance_id}"
    made = {
        "checkId": (f"{instance}/health-checks", {"url": "http://127.0.0.1:9/", "name": "far"}),
        "channelId": (
            f"{instance}/alert-channels",
            {"type": "webhook", "config": {"webhookUrl": f"http://127.0.0.1:9/{uuid4()}"}},
        ),
        "apiKeyId": (f"{instance}/api-keys", {"name": "billing service"}),
        "keyId": (f"/api/projects/{PROJECT}/ingest-keys", {"label": "browser"}),
    }
    for channel in mainstay.get(f"{instance}/alert-channels")["channels"]:  # there are 20 at most
        gone = mainstay.call("DELETE", f"{instance}/alert-channels/{channel['id']}")
        assert gone.status_code in (204, 404), gone.text  # 404 for those of the whole project
    ids = {}
    for name, (path, body) in made.items():
        answer = mainstay.call("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        ids[name] = answer.json()["id"]
    ids["limitName"] = "default"
    return ids


@schemathesis.serializer("application/x-sentry-envelope")
def as_it_is(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("mode", EXAMPLES)
def test_whatever_is_sent_the_answer_is_one_of_those_that_are_described(
    untouched: Mainstay, mode: GenerationMode
) -> None:
    known = things_made_on(untouched)
    schema = schemathesis.openapi.from_url(f"{untouched.url}/api/openapi.json")
    key = untouched.project["ingestKey"]
    guards = credentials_of_the_guard(untouched)
    machines = {
        "/api/v1/endpoints/": bearer(known["pingKey"]),
        "/api/probe/": bearer(known["told:probe"]),
    }
    faults = []
    refused = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        asked = Asked(operation, untouched, known, key)
        asked.as_the_guards(guards | machines)
        try:
            asked.some_times(mode)
        except Unsatisfiable:
            continue  # nothing about it could be wrong
        except FailureGroup as group:
            faults += [f"{operation.label}: {fault}" for fault in group.exceptions]
        if not any(200 <= status < 300 for status in asked.statuses) and not asked.removes:
            refused.add(operation.definition.raw["operationId"])
        if operation.method.upper() == "PATCH" and any(n in operation.path for n in MADE_AGAIN):
            known |= what_may_be_switched_off(untouched)
    assert not faults, "\n\n".join(faults)
    if mode is GenerationMode.POSITIVE:
        known_to_be = REMOVING | FOR_BROWSERS | ABOUT_WHAT_IS_NOT_THERE | HARD_TO_GUESS
        assert sorted(refused - known_to_be) == []


def of_path(known: dict[str, str], path: str) -> dict[str, str]:
    """What is known, where one name stands for two things."""
    kind = "eventRuleId" if "/event-rules/" in path else "measureRuleId"
    return {**known, "ruleId": known[kind]}


class Asked:
    """One operation, asked several times; what removes is told only of what is not there."""

    def __init__(self, operation: Any, mainstay: Mainstay, known: dict[str, str], key: str) -> None:
        self.statuses: list[int] = []
        self._operation = operation
        self._url = mainstay.url
        self.removes = operation.method.upper() == "DELETE"
        self._known = {} if self.removes else of_path(known, operation.path)
        self._headers = AUTHORIZED
        if "{number}" in operation.path:
            self._headers = {"x-sentry-auth": f"Sentry sentry_key={key}"}
        elif operation.path == "/api/cron":
            self._headers = {"authorization": f"Bearer {CRON_SECRET}"}

    def as_the_guards(self, credentials: dict[str, dict[str, str]]) -> None:
        """Bring the credential that a path of the guard is opened by, if it is one."""
        for beginning, headers in credentials.items():
            if self._operation.path.startswith(beginning):
                self._headers = headers
                return

    def some_times(self, mode: GenerationMode) -> None:
        @settings(FEW, max_examples=EXAMPLES[mode])
        @given(case=self._operation.as_strategy(generation_mode=mode))
        def once(case: Any) -> None:
            asked_for = dict(case.path_parameters or {})
            if mode is GenerationMode.POSITIVE:
                asked_for |= {k: v for k, v in self._known.items() if k in asked_for}
                case.path_parameters = asked_for
                if "{number}" in case.path:
                    case.query, case.headers = {}, {}
                if case.path == "/api/guard/check":
                    case.query, case.headers = {"instance": self._known["instanceId"]}, {}
            answer = case.call(base_url=self._url, headers=self._headers, timeout=PATIENCE_SECONDS)
            self.statuses.append(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

        once()


def test_every_example_of_a_body_is_one_that_the_server_takes(
    mainstay: Mainstay, document: dict[str, Any], known: dict[str, str]
) -> None:
    guards = credentials_of_the_guard(mainstay)
    probes = bearer(known["told:probe"])
    for method, path, operation in operations(document):
        for media, body in operation.get("requestBody", {}).get("content", {}).items():
            examples = [one["value"] for one in body.get("examples", {}).values()]
            for example in examples or [body["example"]]:
                content = example if isinstance(example, str) else json.dumps(example)
                headers = {**AUTHORIZED, "content-type": media}
                if path.startswith("/api/guard/"):
                    headers |= guards["/api/guard/"]
                if path.startswith("/api/probe/"):
                    headers |= probes
                if "{number}" in path:
                    headers["authorization"] = f"Bearer {mainstay.project['ingestKey']}"
                    content = re.sub(
                        ',"dsn":"[^"]+"', "", content
                    )  # an example's key opens nothing
                answer = mainstay.ask(method, filled(path, known), headers=headers, content=content)
                if path.endswith("/corrections") and "Nothing is kept" in answer.text:
                    continue  # of the past that the example corrects
                assert answer.is_success or answer.status_code in (403, 404, 409), (
                    f"{method} {path}: {answer.text}"
                )


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def filled(path: str, known: dict[str, str]) -> str:
    known = {"type": "instance_down", "role": "commander", **known}
    return re.sub(r"{(\w+)}", lambda name: known.get(name[1], "0" * 36), path)


def test_methods_that_are_not_described_are_405_and_told_which_are(
    mainstay: Mainstay, document: dict[str, Any]
) -> None:
    with httpx.Client(headers=AUTHORIZED, timeout=PATIENCE_SECONDS) as client:
        for path, item in document["paths"].items():
            if path in ("/api/guard/check", "/api/push/{token}"):
                continue  # these are asked with whatever method there is
            described = {method.upper() for method in item}
            as_image = {"GET"} if path.endswith("/store/") else set()
            for method in METHODS - described - as_image:
                answer = client.request(method, mainstay.url + filled(path, {"number": "1"}))
                assert answer.status_code == 405, f"{method} {path}"
                allowed = {one.strip() for one in answer.headers["allow"].split(",")}
                assert described <= allowed, f"{method} {path}"


def test_every_operation_says_what_it_does_who_may_and_shows_an_example(
    document: dict[str, Any],
) -> None:
    ids = [operation["operationId"] for *_, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for method, path, operation in operations(document):
        place = f"{method} {path}"
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), place
        assert operation["summary"], place
        assert operation["description"], place
        assert len(operation["tags"]) == 1, place
        assert "security" in operation, place
        assert "422" not in operation["responses"], place
        good = [r for s, r in operation["responses"].items() if s.startswith("2")]
        for part in (operation.get("requestBody", {}), *good):
            for media in part.get("content", {}).values():
                assert media.keys() & {"example", "examples"}, place
        for parameter in operation.get("parameters", ()):
            in_header = parameter["in"] == "header"
            pattern = r"[A-Za-z-]+" if in_header else r"[a-z]+([A-Z][a-z]+)*|sentry_key"
            assert re.fullmatch(pattern, parameter["name"]), place
            assert parameter.get("description"), f"{place} {parameter['name']}"


def test_every_example_is_what_its_shape_says(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        answers = [followed(document, answer) for answer in operation["responses"].values()]
        for part in (operation.get("requestBody", {}), *answers):
            for media in part.get("content", {}).values():
                shape = {**media["schema"], "components": document["components"]}
                examples = [one["value"] for one in media.get("examples", {}).values()]
                examples += [media["example"]] if "example" in media else []
                for example in examples:
                    faults = [str(f) for f in Draft202012Validator(shape).iter_errors(example)]
                    assert not faults, f"{method} {path}: {faults}"


def followed(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    name = part.get("$ref", "").rpartition("/")[2]
    return document["components"]["responses"][name] if name else part


def test_every_field_is_camel_case(document: dict[str, Any]) -> None:
    named_by_the_ratelimit_draft = {"violated-policies"}
    for name, shape in document["components"]["schemas"].items():
        for field in set(shape.get("properties", {})) - named_by_the_ratelimit_draft:
            assert re.fullmatch(r"[a-z]+[a-z0-9]*([A-Z][a-z0-9]*)*", field), f"{name}.{field}"


def test_the_page_shows_every_operation_and_finds_by_words(
    mainstay: Mainstay, document: dict[str, Any]
) -> None:
    everything = mainstay.ask("GET", "/api/docs").text
    for method, path, operation in operations(document):
        assert f'id="{operation["operationId"]}"' in everything
        assert path in everything, f"{method} {path}"
    found = mainstay.ask("GET", "/api/docs?q=rotate").text
    assert 'id="rotateIngestKey"' in found
    assert 'id="createProject"' not in found
    assert "No operation has all of these words" in mainstay.ask("GET", "/api/docs?q=xyz").text


def test_head_is_answered_as_get_without_a_body(mainstay: Mainstay) -> None:
    for path in ("/healthz", "/api/health/live", "/metrics", "/api/docs", "/api/openapi.json"):
        answer = mainstay.call("HEAD", path)
        assert answer.status_code == 200, path
        assert answer.content == b""


def test_a_refusal_is_a_problem_that_says_the_next_step(mainstay: Mainstay) -> None:
    for method, path, status in (
        ("GET", "/api/instances/nowhere", 404),
        ("POST", "/api/projects", 400),
        ("PUT", "/api/projects", 405),
        ("GET", "/api/nowhere", 404),
    ):
        answer = mainstay.call(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {"type", "title", "status", "code", "detail", "errors"}
