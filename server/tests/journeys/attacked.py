"""A real Mainstay with two organizations, everything that Alice's owns, and those who attack it.

Alice owns the first organization, Ann administers it, Bob is a member, Vera may look. Charlie owns
another one. Dora owns that one too, and may look at Alice's.
"""

import json
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import close_database, new_id, open_database, transaction
from mainstay_server.tenancy.callers import hash_token
from mainstay_server.tenancy.models import AccessToken, Membership, Organization, Person, Role
from mainstay_server.tenancy.scopes import Scope
from sqlalchemy.orm import Session
from tests.journeys.responding_things import make_what_responds
from tests.journeys.running import EMAIL, PASSWORD, PROJECT, TOKEN, Mainstay, running_mainstay
from tests.journeys.watched_things import make_what_is_watched
from tests.waiting import PATIENCE_SECONDS, eventually

Json = dict[str, Any]
READING = {"GET", "HEAD"}
HIS = "rivals"
FOLDER = "her-reports"
UNCHECKED = {
    "{number}",
    "/alertmanager/",
    "/api/guard/check",
    "/api/guard/keys",
    "/api/guard/policy",
    "/api/guard/report",
    "/api/probe/",
    "/api/v1/endpoints/",
}


@dataclass
class Attacked:
    """The server, its OpenAPI document, who may ask, and the ids of what Alice made."""

    mainstay: Mainstay
    document: Json
    tokens: dict[str, str]
    people: dict[str, str]
    folder: Path
    hers: dict[str, str] = field(default_factory=dict)
    shown_once: dict[str, str] = field(default_factory=dict)
    """Each secret that was told once, by what it is."""

    def ask(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as one of them; as a stranger for ""."""
        headers = dict(options.pop("headers", {}))
        if who:
            headers["authorization"] = f"Bearer {self.tokens[who]}"
        return self.mainstay.ask(method, path, headers=headers, **options)

    def made(self, path: str, body: Json, who: str = "alice") -> Json:
        """What a POST made."""
        answer = self.ask(who, "POST", path, json=body)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    def operations(self) -> Iterator[tuple[str, str, Json]]:
        """Every operation of people and their tokens; the doors of machines are attacked apart."""
        for path, item in self.document["paths"].items():
            if any(path.startswith(door) or door in path for door in (*UNCHECKED, "/api/cron")):
                continue
            for method, operation in item.items():
                if operation["security"]:
                    yield method.upper(), path, operation

    def hers_in(self, path: str, **instead: str) -> str:
        """A path with Alice's ids in it."""
        known = {**self.hers, **instead}
        if "/guard-keys/" in path:
            known["keyId"] = self.hers["guardKeyId"]
        elif "/heartbeat-keys/" in path:
            known["keyId"] = self.hers["heartbeatKeyId"]
        kind = "eventRuleId" if "/event-rules/" in path else "measureRuleId"
        known["ruleId"] = known[kind]
        filled = re.sub(r"{(\w+)}", lambda name: known[name[1]], path)
        asks = path.endswith("/ip-allowlist/check")
        return f"{filled}?ip=203.0.113.9" if asks else filled

    def body_of(self, operation: Json) -> Json | None:
        """The example of a body, with Alice's ids in place of the example's."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return None
        examples = [one["value"] for one in content.get("examples", {}).values()]
        first = (examples or [content["example"]])[0]
        if not isinstance(first, dict):
            return None
        body: Json = dict(first)
        return body | {name: self.hers[name] for name in ("alertId", "entryId") if name in body}

    def shape_of(self, operation: Json) -> Json:
        """The schema of a body."""
        content = operation["requestBody"]["content"]["application/json"]["schema"]
        name = content.get("$ref", "").rpartition("/")[2]
        found: Json = self.document["components"]["schemas"].get(name, content)
        return found


def role_needed(operation: Json) -> Role | None:
    """The role that an operation asks for; None when whoever is signed in may."""
    roles = [role for way in operation["security"] for role in way.get("session", ())]
    return Role(roles[0]) if roles else None


@contextmanager
def attacked_mainstay(environment: Mapping[str, str], folder: Path) -> Iterator[Attacked]:
    """A started server with both organizations and everything that Alice's owns."""
    backed_up = folder / "backed-up"
    (backed_up / "letters").mkdir(parents=True)
    (backed_up / "letters" / "first.txt").write_text("Dear all")
    allowed = {"MAINSTAY_BACKUP_FOLDERS": str(backed_up)}
    with running_mainstay({**allowed, **environment}, data_dir=folder) as mainstay:
        database = environment.get("MAINSTAY_DATABASE_URL", f"sqlite:///{folder}/mainstay.db")
        tokens, people = _seeded(database)
        document = mainstay.ask("GET", "/api/openapi.json").json()
        attacked = Attacked(mainstay, document, tokens, people, backed_up)
        make_everything(attacked)
        attacked.made("/api/projects", {"name": "Spying", "slug": HIS}, "charlie")
        yield attacked


def make_everything(attacked: Attacked) -> None:
    """Let Alice make one of each thing that an operation can name."""
    mainstay, hers, told = attacked.mainstay, attacked.hers, attacked.shown_once
    project = mainstay.project
    hers |= {"slug": PROJECT, "number": str(project["number"]), "instanceId": mainstay.instance_id}
    hers |= {"personId": attacked.people["bob"], "type": "instance_down", "owner": "acme"}
    hers |= {"limitName": "default", "organizationId": attacked.people["organization"]}
    told |= {"access token": TOKEN, "password": PASSWORD}
    instance = f"/api/instances/{hers['instanceId']}"
    here = f"http://127.0.0.1:9/{secrets.token_hex(16)}"
    simply: tuple[tuple[str, str, Json], ...] = (
        ("checkId", f"{instance}/health-checks", {"url": "http://127.0.0.1:9/", "name": "far"}),
        ("keyId", f"/api/projects/{PROJECT}/ingest-keys", {"label": "browser"}),
        ("banId", f"{instance}/bans", {"network": "198.51.100.4", "minutes": 60}),
        (
            "alertId",
            f"{instance}/alerts",
            {"type": "backup_failed", "severity": "info", "title": "Empty"},
        ),
    )
    for name, path, body in simply:
        hers[name] = str(attacked.made(path, body)["id"])
    told_once: tuple[tuple[str, str, str, Json], ...] = (
        ("apiKeyId", "key", f"{instance}/api-keys", {"name": "billing", "owner": "acme"}),
        ("guardKeyId", "key", f"/api/projects/{PROJECT}/guard-keys", {"name": "web"}),
        ("tokenId", "token", "/api/tokens", {"name": "ci", "scopes": ["project:read"]}),
        ("invitationId", "url", "/api/invitations", {"role": "member"}),
        (
            "channelId",
            "secret",
            f"{instance}/alert-channels",
            {"type": "webhook", "config": {"webhookUrl": here}},
        ),
    )
    for name, secret, path, body in told_once:
        made = attacked.made(path, body)
        hers[name] = str(made["id"])
        told[name.removesuffix("Id")] = str(made[secret]).rpartition("/join/")[2]
    told["webhook's address"] = here.rpartition("/")[2]
    _what_is_stored(attacked, instance)
    _what_is_backed_up(attacked, instance)
    _what_comes_by_itself(attacked, instance)
    for name, value in make_what_is_watched(mainstay, attacked.made, instance).items():
        kept = told if name.startswith("told:") else hers
        kept[name.removeprefix("told:")] = value
    hers |= make_what_responds(
        mainstay, attacked.made, dict(hers), person_id=attacked.people["bob"]
    )


def _what_is_stored(attacked: Attacked, instance: str) -> None:
    """A bucket with a file in it, and a link to that which is counted."""
    hers, storage = attacked.hers, "/api/v1/storage"
    bucket = attacked.made(f"{instance}/buckets", {"name": "letters"})
    wish = {"bucket": bucket["id"], "key": "acme/letter.txt", "size": 5}
    offer = attacked.made(f"{storage}/upload-url", wish)
    sent = httpx.put(offer["url"], content=b"Dear,", headers=offer["headers"])
    assert sent.is_success, sent.text
    link = attacked.made(f"{storage}/download-url", {"key": wish["key"], "bucket": bucket["id"]})
    hers |= {"bucketId": str(bucket["id"]), "linkId": str(link["id"])}
    attacked.shown_once["link"] = str(link["url"]).rpartition("=")[2]


def _what_is_backed_up(attacked: Attacked, instance: str) -> None:
    """A target that nobody can reach, with a backup that waits, and a bucket for its copies."""
    hers, told = attacked.hers, attacked.shown_once
    password, key = secrets.token_hex(8), secrets.token_hex(8)
    told |= {"database's password": password, "bucket's key": key}
    bucket = f"s3://copies/hers?access_key_id=me&secret_access_key={key}"
    place = {"name": "elsewhere", "kind": "s3", "url": bucket}
    made = attacked.made(f"/api/projects/{PROJECT}/backup-destinations", place)
    hers["destinationId"] = str(made["id"])
    target = attacked.made(
        f"{instance}/backup-targets",
        {
            "name": "orders",
            "engine": "postgresql",
            "config": {"url": f"postgresql://me:{password}@127.0.0.1:9/orders"},
            "newKey": "shown",
            "enabled": False,
        },
    )
    hers["targetId"], told["recovery key"] = str(target["id"]), str(target["secretKey"])
    _what_was_backed_up(attacked, instance)


def _what_was_backed_up(attacked: Attacked, instance: str) -> None:
    """A folder's backup, a drill of it, and a restore of it into another folder."""
    hers = attacked.hers
    letters = {"path": str(attacked.folder / "letters")}
    wanted = {"name": "letters", "engine": "files", "config": letters, "newKey": "kept"}
    quiet = {"enabled": False, "drills": "off"}
    target = attacked.made(f"{instance}/backup-targets", {**wanted, **quiet})
    attacked.shown_once["drill key"] = str(target["secretKey"])
    asked = attacked.made(f"/api/backup-targets/{target['id']}/backups", {})
    hers["backupId"] = str(asked["id"])
    path = f"/api/backups/{asked['id']}"
    eventually(lambda: attacked.mainstay.get(path)["status"] == "succeeded")
    hers["drillId"] = str(attacked.made(f"{path}/drills", {})["id"])
    elsewhere = {"config": {"path": str(attacked.folder / "elsewhere")}}
    hers["restoreId"] = str(attacked.made(f"{path}/restores", elsewhere)["id"])


def _what_comes_by_itself(attacked: Attacked, instance: str) -> None:
    mainstay, hers = attacked.mainstay, attacked.hers
    entry = attacked.made(
        f"{instance}/ip-allowlist",
        {"action": "add", "ipAddress": "203.0.113.0", "cidr": "24", "description": "office"},
    )
    hers["entryId"] = str(entry["allowlist"][0]["id"])
    scans = "/api/instances/{instanceId}/vulnerability-scans"
    content = attacked.document["paths"][scans]["post"]["requestBody"]["content"]
    attacked.made(f"{instance}/vulnerability-scans", content["application/json"]["example"])
    found = mainstay.get(f"{instance}/vulnerabilities")["vulnerabilities"]
    hers["findingId"] = str(found[0]["id"])
    hers |= a_synced_folder(attacked)
    results = f"/api/projects/{PROJECT}/results"
    report = '<testsuite><testcase name="an order is paid once"/></testsuite>'
    hers["resultId"] = mainstay.call("POST", results, content=report).json()["id"]
    stored = mainstay.ask(
        "POST",
        f"/api/{hers['number']}/store/",
        json={"message": "The queue is empty", "level": "error"},
        headers={"x-sentry-auth": f"Sentry sentry_key={mainstay.project['ingestKey']}"},
    )
    hers["eventId"] = stored.json()["id"]
    hers["issueId"] = eventually(lambda: mainstay.get(f"{instance}/errors")["errors"])[0]["id"]
    attacked.ask("alice", "POST", f"{instance}/alert-channels/{hers['channelId']}/test")
    sent = eventually(
        lambda: mainstay.get(f"/api/projects/{PROJECT}/alert-notifications")["notifications"]
    )
    hers["notificationId"] = sent[0]["id"]
    signed_in = sign_in(mainstay, EMAIL, PASSWORD)
    attacked.shown_once["session"] = signed_in.cookies["mainstay_session"]
    hers["sessionId"] = mainstay.get("/api/sessions")["sessions"][0]["id"]


def a_synced_folder(attacked: Attacked) -> dict[str, str]:
    """Her folder, with the examples of the document pushed into it."""
    mainstay, project = attacked.mainstay, f"/api/projects/{PROJECT}"
    attacked.made(f"{project}/sync-folders", {"name": FOLDER})
    paths = attacked.document["paths"]
    for path, media in (
        ("/sync-chunks", "application/octet-stream"),
        ("/sync-folders/{folder}/snapshots", "application/json"),
    ):
        operation = paths[f"/api/projects/{{slug}}{path}"]["post"]
        example = operation["requestBody"]["content"][media]["example"]
        pushed = mainstay.ask(
            "POST",
            f"{project}{path}".replace("{folder}", FOLDER),
            content=example if isinstance(example, str) else json.dumps(example),
            headers={"authorization": f"Bearer {TOKEN}", "content-type": media},
        )
        assert pushed.is_success, pushed.text
    return {"folder": FOLDER, "snapshot": "1"}


def sign_in(mainstay: Mainstay, email: str, password: str) -> httpx.Response:
    """The answer to a sign-in form."""
    return mainstay.ask("POST", "/login", data={"email": email, "password": password})


def _seeded(database: str) -> tuple[dict[str, str], dict[str, str]]:
    """The people beside the owner, who all come in by invitations otherwise."""
    open_database(database)
    try:
        with transaction() as session:
            ours = session.query(Organization).one()
            theirs = Organization(id=new_id(), name="Rivals", created_at=utc_now())
            session.add(theirs)
            session.flush()
            tokens, people = {"alice": TOKEN}, {"organization": ours.id, "rivals": theirs.id}
            for name, organization, role in (
                ("ann", ours, Role.ADMIN),
                ("bob", ours, Role.MEMBER),
                ("vera", ours, Role.VIEWER),
                ("charlie", theirs, Role.OWNER),
                ("dora", theirs, Role.OWNER),
            ):
                people[name] = _person(session, name)
                tokens[name] = _token(session, people[name], organization, role)
            tokens["dora here"] = _token(session, people["dora"], ours, Role.VIEWER)
            return tokens, people
    finally:
        close_database()


def _person(session: Session, name: str) -> str:
    person = Person(
        id=new_id(),
        email=f"{name}@ships.example",
        name=name.capitalize(),
        password_hash="",
        created_at=utc_now(),
    )
    session.add(person)
    session.flush()
    return person.id


def _token(session: Session, person_id: str, organization: Organization, role: Role) -> str:
    """Make somebody a member of an organization, with an access token that may everything there."""
    token = f"mst_{secrets.token_hex(20)}"
    member = Membership(
        id=new_id(),
        organization_id=organization.id,
        person_id=person_id,
        role=role,
        created_at=utc_now(),
    )
    opens = AccessToken(
        id=new_id(),
        organization_id=organization.id,
        person_id=person_id,
        name="attack",
        hint="mst_…",
        token_hash=hash_token(token),
        scopes=[scope.value for scope in Scope],
        created_at=utc_now(),
    )
    session.add_all([member, opens])
    session.flush()
    return token


def wait_for_the_log(attacked: Attacked) -> list[Json]:
    """All rows of the audit log of Alice's organization, once what was done until now is in it."""
    mark = secrets.token_hex(8)
    attacked.made("/api/tokens", {"name": mark, "scopes": ["project:read"]})

    def rows() -> list[Json]:
        found: list[Json] = attacked.mainstay.get("/api/audit-logs?limit=500")["auditLogs"]
        return found if any(mark in str(row) for row in found) else []

    in_it: list[Json] = eventually(rows)
    return in_it


def told_of(attacked: Attacked, text: str) -> list[str]:
    """What of Alice's organization a text names; what anybody may know is left out."""
    words = {"type", "owner", "limitName", "number", "organizationId", "snapshot"}
    words |= {"pingNumber", "role", "name"}
    return [name for name, value in attacked.hers.items() if name not in words and value in text]


def raw(attacked: Attacked, request: bytes) -> bytes:
    """The beginning of the answer to bytes that no client library would send."""
    parts = urlsplit(attacked.mainstay.url)
    address = (parts.hostname, parts.port)
    with socket.create_connection(address, PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(request)
            return connection.recv(65_536)
        except ConnectionError:
            return b""  # closed in the middle of what was too much
