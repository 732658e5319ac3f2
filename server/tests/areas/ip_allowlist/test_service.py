import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mainstay_server.areas.ip_allowlist import service
from mainstay_server.kernel.database import transaction
from mainstay_server.kernel.guard import GuardedRequest, Passage
from mainstay_server.kernel.problems import Conflict, Problem
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.world import a_project

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = json.loads((Path(__file__).parents[4] / "wire/guard/policy.full.json").read_text())


def verdict(section: dict[str, object], address: str, instance: InstanceRef) -> str:
    request = GuardedRequest(
        instance=instance, method="GET", path="/", address=address, credential="", at=NOON
    )
    try:
        asyncio.run(service.step.decide(service.step.compile(section), Passage(request=request)))
    except Problem as problem:
        return f"{problem.status} {problem.code}"
    return "passed"


def test_the_golden_section_is_decided_as_the_sdk_decides_it(session: Session) -> None:
    instance = a_project(session, now=NOON)
    section = POLICY["allowlist"]
    assert verdict(section, "203.0.113.9", instance) == "passed"
    assert verdict(section, "::ffff:203.0.113.9", instance) == "passed"
    assert verdict(section, "2001:db8::5", instance) == "passed"
    assert verdict(section, "192.0.2.1", instance) == "403 address-not-allowed"
    assert verdict(section, "", instance) == "passed", "an address that is not known"
    assert verdict({**section, "active": False}, "192.0.2.1", instance) == "passed"


def test_only_entries_that_are_on_are_published(session: Session) -> None:
    instance = a_project(session, now=NOON)
    assert service.publish(session, instance, NOON) is None
    entry = service.add_entry(session, instance, "10.0.0.0/8", now=NOON)
    service.add_entry(session, instance, "192.0.2.1", enabled=False, now=NOON)
    assert service.publish(session, instance, NOON) == {
        "active": True,
        "networks": ["10.0.0.0/8"],
    }
    service.change_entry(session, instance, entry.id, enabled=False, now=NOON)
    assert service.publish(session, instance, NOON) is None


@pytest.mark.usefixtures("shared_memory", "database")
def test_the_list_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ENTRIES", 2)
    with transaction() as session:
        instance = a_project(session, now=NOON)
        service.add_entry(session, instance, "10.0.0.1", now=NOON)
        service.add_entry(session, instance, "10.0.0.2", now=NOON)
        with pytest.raises(Conflict):
            service.add_entry(session, instance, "10.0.0.3", now=NOON)
