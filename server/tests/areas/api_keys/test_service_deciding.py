"""The step decides as the golden files say, from memory, without a look-up for a mistyped key."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mainstay_server.areas.api_keys.service import deciding
from mainstay_server.kernel.database import engine
from mainstay_server.kernel.guard import Facts, GuardedRequest, Passage
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef

WIRE = Path(__file__).parents[4] / "wire" / "guard"
POLICY = json.loads((WIRE / "policy.full.json").read_text())
SECTION = POLICY["keys"]
CASES = json.loads((WIRE / "verdicts.json").read_text())["cases"]
OF_EARLIER_STEPS = {"banned", "address-not-allowed", "body-too-large"}
NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
READER = "mst_production_api_rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr3wlnJl"
WRITER = "mst_production_api_wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww2qD0cb"
INSTANCE = InstanceRef(
    id=POLICY["instanceId"],
    environment="production",
    url="",
    project_id="project",
    project_number=1,
    project_slug="inspections",
    project_name="Inspections",
    organization_id="organization",
)


def passage_of(**asked: Any) -> Passage:
    wanted = {
        "method": "GET",
        "path": "/docs",
        "address": "203.0.113.9",
        "credential": "",
        "at": NOW,
        **asked,
    }
    return Passage(request=GuardedRequest(instance=INSTANCE, **wanted))


def decided(passage: Passage, section: dict[str, Any] = SECTION) -> Problem | None:
    compiled = deciding.compile_section(section)
    try:
        asyncio.run(deciding.decide(compiled, passage))
    except Problem as problem:
        return problem
    return None


def is_about_keys(case: dict[str, Any]) -> bool:
    """Earlier steps refuse some before; the guard spells paths plainly before any step."""
    plain = not any(spelling in case["request"]["path"] for spelling in ("//", "/.", "%"))
    return plain and case["expect"]["code"] not in OF_EARLIER_STEPS and "repeat" not in case


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c["promise"]) for c in CASES if is_about_keys(c)]
)
def test_the_golden_verdicts_hold(case: dict[str, Any]) -> None:
    expected = case["expect"]
    at = datetime.fromisoformat(case["now"]) if "now" in case else NOW
    passage = passage_of(
        **{k: v for k, v in case["request"].items() if k != "contentLength"}, at=at
    )

    problem = decided(passage)

    if problem is None:
        assert expected["status"] == 200
        assert passage.facts.key_id == expected["keyId"]
        return
    assert problem.code == expected.get("simulated", expected["code"])
    if not case.get("mode"):
        assert problem.status == expected["status"]
        for name, value in expected.get("headers", {}).items():
            assert problem.headers[name] == value


def test_the_golden_files_say_enough_about_keys() -> None:
    codes = {case["expect"]["code"] for case in CASES if is_about_keys(case)}

    assert codes >= {
        "",
        "key-missing",
        "key-malformed",
        "key-unknown",
        "key-expired",
        "key-address-not-allowed",
        "insufficient-scope",
    }


def test_a_key_that_passes_is_told_to_the_steps_after_it() -> None:
    passage = passage_of(credential=WRITER, address="203.0.113.7")

    assert decided(passage) is None
    assert passage.facts == Facts(
        key_id="key-writer",
        owner="acme",
        plan="PRO",
        scopes=("insight:read", "insight:write"),
        limits=({"quota": 5, "windowSeconds": 60},),
    )


def test_a_key_that_is_refused_is_named_too() -> None:
    passage = passage_of(credential=WRITER, address="192.0.2.1")

    problem = decided(passage)

    assert problem is not None
    assert problem.code == "key-address-not-allowed"
    assert passage.facts.key_id == "key-writer"


def test_who_requires_a_key_gets_it_asked_for_on_every_path_that_is_not_public() -> None:
    missing = decided(passage_of(key_required=True))
    assert missing is not None
    assert missing.code == "key-missing"
    assert decided(passage_of(path="/api/health", key_required=True)) is None

    nothing_asked = {"pepper": SECTION["pepper"], "keys": []}
    assert decided(passage_of(), nothing_asked) is None
    refused = decided(passage_of(key_required=True, credential=READER), nothing_asked)
    assert refused is not None
    assert refused.code == "key-unknown"


def test_what_the_app_asks_for_is_needed_beside_what_the_policy_asks_for() -> None:
    asked: dict[str, Any] = {"path": "/api/insights", "method": "POST", "credential": READER}
    problem = decided(passage_of(**asked, scopes=("insight:read", "report:write")))

    assert problem is not None
    assert problem.headers["WWW-Authenticate"].endswith(
        'error="insufficient_scope", scope="insight:read report:write insight:write"'
    )
    missing = decided(passage_of(path="/api/health", scopes=("insight:read",)))
    assert missing is not None
    assert missing.code == "key-missing", "a route of the app that asks for scopes is not public"


def test_where_the_address_is_not_known_it_decides_nothing() -> None:
    assert decided(passage_of(credential=WRITER, address="")) is None
    problem = decided(passage_of(credential=WRITER, address="unix:"))
    assert problem is not None
    assert problem.code == "key-address-not-allowed"


def test_refusals_never_repeat_what_was_presented() -> None:
    for credential in ("mst_production_api_secretsecret", READER[:-1] + "0", "mst_x", READER):
        problem = decided(
            passage_of(credential=credential, path="/api/insights", method="POST", at=NOW)
        )
        assert problem is not None
        assert credential not in json.dumps([problem.to_json(), dict(problem.headers)])


@pytest.mark.usefixtures("database")
def test_no_verdict_asks_the_database_anything() -> None:
    asked: list[str] = []
    sa.event.listen(
        engine(), "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement)
    )
    for credential in ("mst_production_api_mistyped", READER, WRITER, READER[:-1] + "0", ""):
        decided(passage_of(credential=credential, path="/api/insights"))

    assert asked == []
