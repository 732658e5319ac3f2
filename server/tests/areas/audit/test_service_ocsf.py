"""OCSF: every action has a class and an activity of the schema, with what that class asks for."""

from typing import Any

import pytest
from mainstay_server.areas.audit.schemas import RowFilter
from mainstay_server.areas.audit.service import ocsf
from mainstay_server.areas.audit.service.reading import rows_after
from mainstay_server.contracts.audit import AuditLogExported
from mainstay_server.contracts.tenancy import (
    PersonPasswordChanged,
    PersonSignedIn,
    PersonSignInRefused,
    ProjectCreated,
    ProjectRemoved,
)
from mainstay_server.kernel.database import reading, transaction
from mainstay_server.kernel.events import Audited, run_waiting, say, spoken_by
from tests.areas.audit.worlds import ALICE, NOON, SHIPS

PERSON: dict[str, Any] = {
    "organization_id": SHIPS,
    "person_id": "p",
    "email": "alice@ships.example",
}
PROJECT: dict[str, Any] = {"organization_id": SHIPS, "project_id": "p", "slug": "inspections"}


@pytest.mark.parametrize(
    ("event", "type_uid", "asked_for"),
    [
        (PersonSignedIn(**PERSON, way="password"), 300201, {"user", "service"}),
        (PersonSignInRefused(**PERSON, reason="wrong password"), 300201, {"user", "service"}),
        (PersonPasswordChanged(**PERSON), 300103, {"user"}),
        (ProjectCreated(**PROJECT), 300401, {"entity"}),
        (ProjectRemoved(**PROJECT), 300404, {"entity"}),
        (
            AuditLogExported(organization_id=SHIPS, format="csv", filters={}),
            600302,
            {"api", "actor", "src_endpoint"},
        ),
    ],
)
def test_an_action_is_an_event_of_its_class(
    log: None, event: Audited, type_uid: int, asked_for: set[str]
) -> None:
    with transaction() as session, spoken_by(ALICE):
        say(session, event, now=NOON)
    run_waiting(now=NOON)
    with reading() as session:
        (found,) = rows_after(session, SHIPS, RowFilter(), position=0, limit=10)

    made = ocsf.event_of(found)

    assert made["type_uid"] == type_uid == made["class_uid"] * 100 + made["activity_id"]
    assert made["category_uid"] == made["class_uid"] // 1000
    assert made["time"] == 1_795_262_400_000
    assert made["metadata"]["version"] == "1.3.0"
    assert made["metadata"]["sequence"] == 1
    assert made["actor"]["user"]["email_addr"] == "alice@ships.example"
    assert made["src_endpoint"] == {"ip": "203.0.113.7"}
    assert asked_for <= made.keys()
    refused = event.failed
    assert (made["status_id"], made["severity_id"]) == ((2, 2) if refused else (1, 1))


def test_an_action_that_the_schema_has_no_word_for_is_other_and_named() -> None:
    assert ocsf.classified("alert_channel.tested") == (6003, 99)
    assert ocsf.classified("person.role_changed") == (3001, 99)
