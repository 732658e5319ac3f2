"""OWASP API Security Top 10 (2023), each attacked on a real server over every operation there is.

What goes out of the server (API7, API10) has a file of its own. In the words of the OWASP
Top 10 (2021; 2025 where it differs): API1, API3 and API5 are A01 Broken Access Control, API2 is A07
Authentication Failures, API7 is A10 SSRF (2025: a part of A01), API8 and API9 are A05 Security
Misconfiguration (2025: A02), API4 and API6 are A04 Insecure Design (2025: A06).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from mainstay_server.app.openapi_doors import DOORS
from mainstay_server.app.version import VERSION
from mainstay_server.tenancy.models import Role
from tests.architecture.test_permissions import ROUTES
from tests.journeys.attacked import (
    HIS,
    READING,
    Attacked,
    attacked_mainstay,
    raw,
    role_needed,
    sign_in,
    told_of,
    wait_for_the_log,
)
from tests.journeys.running import EMAIL, PASSWORD, TOKEN

pytestmark = pytest.mark.slow

KEPT_OUT = {403, 404}
ROLES = {"ann": Role.ADMIN, "bob": Role.MEMBER, "vera": Role.VIEWER, "dora here": Role.VIEWER}
EVIL = "https://evil.example"
UNHURRIED = {"MAINSTAY_LIMIT_API_PER_MINUTE": "0", "MAINSTAY_LIMIT_ADDRESS_PER_MINUTE": "0"}

# Its body is a document of others, of which what nobody asks for is left unread, and which is long.
SCANS = "/api/instances/{instanceId}/vulnerability-scans"
LARGEST_SCAN = 33 << 20
# What is over the limit of each body that may be larger than others.
RESULTS = "/api/projects/{slug}/results"
TOO_MUCH = {
    RESULTS: LARGEST_SCAN,
    SCANS: LARGEST_SCAN,
    "/api/projects/{slug}/configuration/plan": 13 << 20,
    "/api/projects/{slug}/configuration/apply": 13 << 20,
    "/api/projects/{slug}/sync-chunks": 10 << 20,
    "/api/projects/{slug}/sync-folders/{folder}/snapshots": 65 << 20,
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked_mainstay(UNHURRIED, tmp_path_factory.mktemp("attacked")) as found:
        yield found


@pytest.fixture
def untouched(tmp_path: Path) -> Iterator[Attacked]:
    """A server of its own for what leaves it in any state."""
    with attacked_mainstay(UNHURRIED, tmp_path) as found:
        yield found


def test_api1_broken_object_level_authorization(attacked: Attacked) -> None:
    """Charlie asks for, changes and removes Alice's things by their real ids, in every place."""
    asked = 0
    for method, path, operation in attacked.operations():
        if "{" not in path or path in ("/api/tokens/{tokenId}", "/api/sessions/{sessionId}"):
            continue
        if (method, path) == ("PUT", "/api/email-templates/{name}"):
            continue  # makes one of his own under that name
        answer = attacked.ask(
            "charlie", method, attacked.hers_in(path), json=attacked.body_of(operation)
        )
        assert answer.status_code in KEPT_OUT, f"{method} {path}: {answer.text}"
        assert not any(secret in answer.text for secret in attacked.shown_once.values())
        asked += 1
    assert asked > 60
    for name in ("token", "session"):  # of persons, not of organizations
        path = f"/api/{name}s/{attacked.hers[f'{name}Id']}"
        assert attacked.ask("charlie", "DELETE", path).status_code in KEPT_OUT
        assert attacked.ask("bob", "DELETE", path).status_code in KEPT_OUT


def test_api1_hers_are_not_found_below_an_instance_of_his_either(attacked: Attacked) -> None:
    his = attacked.ask("charlie", "GET", f"/api/projects/{HIS}").json()["instances"][0]["id"]
    words = {"type", "owner", "limitName", "snapshot"}
    for method, path, operation in attacked.operations():
        named = set(re.findall(r"{(\w+)}", path))
        if not named & {"instanceId", "slug"} or not named - {"instanceId", "slug"} - words:
            continue
        mixed = attacked.hers_in(path, instanceId=his, slug=HIS)
        answer = attacked.ask("charlie", method, mixed, json=attacked.body_of(operation))
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"


def test_api1_ids_in_bodies_and_questions_are_guarded_like_those_in_paths(
    attacked: Attacked,
) -> None:
    hers = attacked.hers
    his = attacked.ask("charlie", "GET", f"/api/projects/{HIS}").json()["instances"][0]["id"]
    mine = f"/api/instances/{his}"
    for path, body in (
        (f"{mine}/api-keys/rotate", {"keyId": hers["apiKeyId"]}),
        (f"{mine}/alerts", {"alertId": hers["alertId"], "action": "resolve"}),
        (f"{mine}/ip-allowlist", {"action": "remove", "entryId": hers["entryId"]}),
        ("/api/instances", {"project": hers["slug"], "environment": "mine"}),
    ):
        assert attacked.ask("charlie", "POST", path, json=body).status_code == 404, path
    for question in (f"instance={hers['instanceId']}", f"project={hers['slug']}"):
        for path in ("/api/instances", "/api/summaries", "/api/audit-logs", "/api/v1/usage"):
            told = attacked.ask("charlie", "GET", f"{path}?{question}").text
            assert not told_of(attacked, told), path


def test_api1_lists_of_others_name_nothing_of_hers_and_the_log_saw_nobody_act(
    attacked: Attacked,
) -> None:
    for method, path, _operation in attacked.operations():
        if method == "GET" and "{" not in path:
            for who in ("charlie", "dora"):
                # Examples of built-in templates are about inspections, as her project's slug is.
                told = re.sub(
                    "inspectionsCount|/inspections/", "", attacked.ask(who, method, path).text
                )
                assert not told_of(attacked, told), path
    acted = {row["actor"]["name"] for row in wait_for_the_log(attacked)}
    assert not acted & {"Charlie", "Dora", "attack"}


def test_api1_machines_keys_open_only_what_they_belong_to(attacked: Attacked) -> None:
    his = attacked.ask("charlie", "GET", f"/api/projects/{HIS}").json()
    instance = his["instances"][0]["id"]
    key = attacked.made(f"/api/instances/{instance}/api-keys", {"name": "x"}, "charlie")["key"]
    guard = attacked.made(f"/api/projects/{HIS}/guard-keys", {"name": "x"}, "charlie")["key"]
    check = f"/api/guard/check?instance={attacked.hers['instanceId']}"
    ask = attacked.mainstay.ask
    headers = {"x-api-key": key, "x-forwarded-for": "203.0.113.9"}  # which is on her allowlist
    assert ask("GET", check, headers=headers).json()["code"] == "key-unknown"
    check = f"/api/guard/check?instance={instance}"
    assert ask("GET", check, headers=headers).is_success
    policy = ask("GET", "/api/guard/policy", headers={"authorization": f"Bearer {guard}"})
    assert policy.json()["instanceId"] == instance
    verdict = ask(
        "POST",
        "/api/guard/keys/verify",
        headers={"authorization": f"Bearer {guard}"},
        json={"key": attacked.shown_once["apiKey"]},
    )
    assert verdict.json()["valid"] is False
    sent = ask(
        "POST",
        f"/api/{attacked.hers['number']}/store/",
        headers={"x-sentry-auth": f"Sentry sentry_key={his['ingestKey']}"},
        json={"message": "spam"},
    )
    assert sent.status_code == 403


def test_api3_broken_object_property_level_authorization(attacked: Attacked) -> None:
    """Nobody sets what a body does not have, and no answer shows a secret twice."""
    smuggled = {
        "id": "0" * 36,
        "role": "owner",
        "organizationId": attacked.people["rivals"],
        "organization_id": attacked.people["rivals"],
        "personId": attacked.people["charlie"],
        "isAdmin": True,
        "digest": "0" * 64,
        "key": "mst_chosen",
        "createdAt": "2020-01-01T00:00:00.000Z",
    }
    asked = 0
    for method, path, operation in attacked.operations():
        body = attacked.body_of(operation)
        if body is None or method in READING or path in (SCANS, RESULTS):
            continue
        known = attacked.shape_of(operation).get("properties", {})
        for name in smuggled.keys() - known.keys():
            if path == "/api/instances/{instanceId}/alerts" and name == "id":
                continue  # told apart below: it has two shapes
            sent = {**body, name: smuggled[name]}
            answer = attacked.ask("alice", method, attacked.hers_in(path), json=sent)
            assert answer.status_code in (400, 403), f"{method} {path} took {name}: {answer.text}"
            asked += 1
    assert asked > 200
    for method, path, _operation in attacked.operations():
        if method == "GET":
            answer = attacked.ask("alice", method, attacked.hers_in(path))
            assert answer.status_code < 500, path
            shown = [name for name, secret in attacked.shown_once.items() if secret in answer.text]
            assert not shown, f"{path} shows {shown}"
            assert "password_hash" not in answer.text
            assert "token_hash" not in answer.text


def test_api4_unrestricted_resource_consumption(attacked: Attacked) -> None:
    """Every list, body and depth has a limit that answers, and no answer is a bug."""
    deep = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
    for method, path, operation in attacked.operations():
        where = attacked.hers_in(path)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query" and parameter["name"] in ("limit", "offset", "hours"):
                for much in ("1000000000", "-1", "9" * 400):
                    joined = f"{where}{'&' if '?' in where else '?'}{parameter['name']}={much}"
                    assert attacked.ask("alice", method, joined).status_code == 400, joined
        if "requestBody" in operation:
            too_much = TOO_MUCH.get(path, 6_000_000)
            for content, statuses in ((b'"' + b"x" * too_much + b'"', {413}), (deep, {400, 413})):
                answer = attacked.ask(
                    "alice",
                    method,
                    where,
                    content=content,
                    headers={"content-type": "application/json"},
                )
                assert answer.status_code in statuses, f"{method} {path}: {answer.status_code}"
    for head in (b"x: " + b"y" * 1_000_000, b"\r\n".join(b"x%d: y" % n for n in range(20_000))):
        assert raw(attacked, b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")[:12] in (
            b"HTTP/1.1 400",
            b"",
        )


def test_api5_broken_function_level_authorization(attacked: Attacked) -> None:
    """Whoever has a lesser role than an operation asks for is refused, whatever is sent."""
    asked = 0
    for who, role in ROLES.items():
        for method, path, operation in attacked.operations():
            needed = role_needed(operation)
            if needed is None or role.covers(needed):
                continue
            answer = attacked.ask(
                who, method, attacked.hers_in(path), json=attacked.body_of(operation)
            )
            assert answer.status_code == 403, f"{who}: {method} {path}: {answer.text}"
            asked += 1
    assert asked > 100
    people = attacked.people
    for who, victim, wanted in (
        ("bob", "bob", "admin"),
        ("ann", "ann", "owner"),
        ("ann", "bob", "owner"),
        ("charlie", "bob", "viewer"),
        ("dora here", "dora", "owner"),
    ):
        path = f"/api/members/{people[victim]}"
        assert attacked.ask(who, "PATCH", path, json={"role": wanted}).status_code in KEPT_OUT
    assert (
        attacked.ask("ann", "POST", "/api/invitations", json={"role": "owner"}).status_code == 403
    )
    owner = attacked.mainstay.get("/api/me")["id"]
    for who in ("ann", "bob", "charlie"):
        assert attacked.ask(who, "DELETE", f"/api/members/{owner}").status_code in KEPT_OUT


def test_api5_a_role_in_one_organization_is_none_in_another_and_falls_at_once(
    untouched: Attacked,
) -> None:
    project, token = f"/api/projects/{untouched.hers['slug']}", "project:write"
    assert untouched.ask("dora", "GET", project).status_code == 404
    assert untouched.ask("dora here", "GET", project).is_success
    assert untouched.ask("dora here", "PATCH", project, json={"name": "Hers"}).status_code == 403
    weak = untouched.made("/api/tokens", {"name": "weak", "scopes": ["project:read"]}, "ann")
    untouched.tokens["weak"] = str(weak["token"])
    assert untouched.ask("weak", "PATCH", project, json={"name": "X"}).status_code == 403
    stronger = untouched.ask("weak", "POST", "/api/tokens", json={"name": "x", "scopes": [token]})
    assert stronger.status_code == 403
    keys = f"{project}/ingest-keys"
    assert untouched.ask("ann", "POST", keys, json={"label": "a"}).status_code == 201
    ann = f"/api/members/{untouched.people['ann']}"
    assert untouched.ask("alice", "PATCH", ann, json={"role": "viewer"}).is_success
    assert untouched.ask("ann", "POST", keys, json={"label": "b"}).status_code == 403
    assert untouched.ask("alice", "DELETE", ann).is_success
    assert untouched.ask("ann", "GET", project).status_code == 401


def test_api6_unrestricted_access_to_sensitive_business_flows(untouched: Attacked) -> None:
    """What is handed out, mailed or made for others ends at a number, not at the disk."""
    instance = f"/api/instances/{untouched.hers['instanceId']}"
    project = f"/api/projects/{untouched.hers['slug']}"
    for path, body, most in (
        ("/api/invitations", {"role": "viewer"}, 200),
        (f"{project}/ingest-keys", {"label": "many"}, 50),
        (f"{project}/guard-keys", {"name": "many"}, 50),
        (f"{instance}/heartbeat-keys", {"kind": "write", "name": "many"}, 50),
        ("/api/status-pages", {"name": "many"}, 50),
    ):
        statuses = [
            untouched.ask("alice", "POST", path, json=body).status_code for _ in range(most)
        ]
        assert statuses[-1] == 409, f"{path} took {statuses.count(201)}"


def test_api8_security_misconfiguration(attacked: Attacked) -> None:
    """Every answer carries the headers, none opens itself to other sites or tells of its inside."""
    ask = attacked.mainstay.ask
    paths = [
        "/login",
        "/dashboard",
        "/join/x",
        "/setup/x",
        "/nowhere",
        "/assets/nowhere",
        "/metrics",
    ]
    paths += ["/api/docs", "/api/openapi.json", "/api/nowhere", "/api/1/envelope/", "/healthz"]
    paths += [
        attacked.hers_in(path) for method, path, _ in attacked.operations() if method == "GET"
    ]
    for path in paths:
        for headers in ({"origin": EVIL}, {"origin": EVIL, "authorization": f"Bearer {TOKEN}"}):
            answer = ask("GET", path, headers=headers)
            told = {name.lower(): value for name, value in answer.headers.items()}
            assert answer.status_code < 500, path
            assert told["x-content-type-options"] == "nosniff", path
            if "/api/1/" not in path:  # a door of machines shows nothing that a browser draws
                assert "default-src 'none'" in told["content-security-policy"], path
                assert "unsafe" not in told["content-security-policy"], path
                assert told["x-frame-options"] == "DENY", path
            allowed = told.get("access-control-allow-origin")
            assert allowed is None or (allowed, "/api/1/" in path) == ("*", True), path
            assert "access-control-allow-credentials" not in told, path
            assert not {"server", "x-powered-by"} & told.keys(), path
            assert not re.search(r"Traceback|File \"/|sqlalchemy|site-packages", answer.text), path
    for method in ("TRACE", "OPTIONS", "CONNECT", "DEBUG"):
        answer = ask(method, "/api/projects", headers={"origin": EVIL, "x-secret": "mirror"})
        assert answer.status_code in (400, 405, 501)
        assert "mirror" not in answer.text
    for path in (
        "/api/projects%00",
        "/assets/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
    ):
        assert ask("GET", path, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 404
    both = (
        b"POST /api/projects HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked"
    )
    assert raw(attacked, both + b"\r\n\r\n0\r\n\r\n")[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 401")
    for body in (b"{", b"\xff\xfe", b"[]", b"null", b'{"name":"\\ud800"}', b'{"name":1e999}'):
        answer = attacked.ask("alice", "POST", "/api/projects", content=body)
        assert answer.status_code == 400, body
        assert answer.json()["code"], body
    cookie = sign_in(attacked.mainstay, EMAIL, PASSWORD).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_api9_improper_inventory_management(attacked: Attacked) -> None:
    """Whatever answers is in the OpenAPI document or is a page; nothing old, nothing for tests."""
    described = {
        (method.upper(), re.sub(r"{\w+}", "{}", path))
        for path, item in attacked.document["paths"].items()
        for method in item
    }
    for parameter in ROUTES:
        method, route = parameter.values
        assert isinstance(route, APIRoute)
        path = re.sub(r"{\w+(:\w+)?}", "{}", route.path)
        if path.startswith(("/api/", "/metrics", "/healthz")) and route.include_in_schema:
            assert (str(method), path) in described, f"{method} {path}"
        elif path.startswith("/api/v{}/"):
            continue  # Healthchecks' own API, which its own documents describe
        elif path.startswith("/api/"):
            assert path in ("/api/docs", "/api/openapi.json"), f"{method} {path}"
    paths = attacked.document["paths"]
    for door in DOORS:  # one that takes a rest is described with it
        assert any(path.startswith(f"/api/{{number}}/{door}") for path in paths), door
    assert attacked.document["info"]["version"] == VERSION
    old = ["/api/v0/usage", "/api/v2/usage", "/v1", "/docs", "/redoc", "/openapi.json", "/swagger"]
    hidden = ["/admin", "/debug", "/.env", "/.git/config", "/graphql", "/console", "/actuator"]
    tests = ["/test", "/api/test", "/api/debug", "/api/internal", "/phpinfo.php", "/server-status"]
    for path in (*old, *hidden, *tests):
        assert attacked.ask("alice", "GET", path).status_code == 404, path


def test_api2_broken_authentication(untouched: Attacked) -> None:
    """Only the whole right credential gets in, guessing ends, and nobody tells who is who."""
    ask = untouched.mainstay.ask
    for method, path, operation in untouched.operations():
        where, body = untouched.hers_in(path), untouched.body_of(operation)
        for headers in ({}, {"authorization": "Bearer x"}, {"cookie": "mainstay_session=x"}):
            assert ask(method, where, json=body, headers=headers).status_code == 401, path
    for token in (TOKEN[:-1], TOKEN.upper(), TOKEN + "a", "null", "' OR 1=1"):
        headers = {"authorization": f"Bearer {token}"}
        assert ask("GET", "/api/me", headers=headers).status_code == 401
    for query in (f"token={TOKEN}", f"access_token={TOKEN}", f"api_key={TOKEN}"):
        assert ask("GET", f"/api/me?{query}").status_code == 401
    assert ask("GET", "/api/me", headers={"x-api-key": TOKEN}).status_code == 401
    for name in ("apiKey", "guardKey", "invitation", "channel"):
        headers = {"authorization": f"Bearer {untouched.shown_once[name]}"}
        assert ask("GET", "/api/me", headers=headers).status_code == 401, name
    path = f"/api/tokens/{untouched.hers['tokenId']}"
    assert untouched.ask("alice", "DELETE", path).is_success
    revoked = {"authorization": f"Bearer {untouched.shown_once['token']}"}
    assert ask("GET", "/api/me", headers=revoked).status_code == 401
    strangers = sign_in(untouched.mainstay, "nobody@ships.example", PASSWORD)
    hers = sign_in(untouched.mainstay, EMAIL, "wrong")
    assert (strangers.status_code, hers.status_code) == (401, 401)
    told = [
        answer.text.replace(who, "")
        for answer, who in ((strangers, "nobody@ships.example"), (hers, EMAIL))
    ]
    assert told[0] == told[1]
    statuses = [sign_in(untouched.mainstay, EMAIL, f"guess {n}").status_code for n in range(25)]
    assert statuses[-1] == 429
    assert json.dumps(statuses).count("200") == 0
