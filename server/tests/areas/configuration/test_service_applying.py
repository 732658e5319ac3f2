"""Plans and applies: what changes, what is kept, whose it is, all or nothing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from mainstay_server.areas.configuration.models import ConfigurationApplied as Row
from mainstay_server.areas.configuration.schemas import Asked, Plan
from mainstay_server.areas.configuration.service import applying, exporting, history
from mainstay_server.contracts.configuration import ConfigurationApplied
from mainstay_server.contracts.tenancy import InstanceChanged, InstanceCreated, InstanceRemoved
from mainstay_server.kernel.events import Event
from mainstay_server.kernel.problems import Conflict, Forbidden, Invalid, Problem
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.databases import on_both_stores
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project

pytestmark = [on_both_stores, pytest.mark.usefixtures("installed")]

DOCUMENT = """\
version: 1
instances:
  - environment: production
    url: https://ships.example
    intervalSeconds: 60
  - environment: staging
"""


def project_of(session: Session) -> ProjectRef:
    a_project(session, now=NOON)
    found = find_project(session, "inspections")
    assert found is not None
    return found


def applied(
    session: Session, project: ProjectRef, document: str = DOCUMENT, **options: Any
) -> Plan:
    admin = options.pop("admin", True)
    asked = Asked(document=document, **options)
    return applying.apply(session, project, asked, may_administer=admin, now=NOON)


def planned(
    session: Session, project: ProjectRef, document: str = DOCUMENT, **options: Any
) -> Plan:
    asked = Asked(document=document, **options)
    return applying.plan(session, project, asked, may_administer=True, now=NOON)


def told(plan: Plan) -> Sequence[tuple[str, str]]:
    return [(step.action, " / ".join(step.key)) for step in plan.steps]


def exported(session: Session, project: ProjectRef) -> str:
    return exporting.export_document(
        session, applying.about(session, project), server="https://mainstay.test"
    )


def test_what_is_new_is_made_what_differs_is_changed_and_a_second_time_nothing(
    session: Session, said: Said
) -> None:
    project = project_of(session)
    made = applied(session, project)
    assert told(made) == [("change", "production"), ("create", "staging")]
    assert [(f.field, f.before, f.after) for f in made.steps[0].fields] == [
        ("url", "", "https://ships.example"),
        ("intervalSeconds", 300, 60),
    ]
    assert [step.line for step in made.steps] == [3, 6]
    kinds: list[type[Event]] = [InstanceChanged, InstanceCreated, ConfigurationApplied]
    assert [type(event) for event in said()] == kinds

    again = applied(session, project)
    assert (told(again), len(again.same), again.adopted) == ([], 2, 0)
    assert said() == [], "an apply that changes nothing says nothing"


def test_a_plan_tells_the_same_and_leaves_nothing_behind(session: Session, said: Said) -> None:
    project = project_of(session)
    before = exported(session, project)
    said()
    plan = planned(session, project)
    assert exported(session, project) == before
    assert said() == []
    assert session.query(Row).count() == 0
    done = applied(session, project, fingerprint=plan.fingerprint)
    assert told(done) == told(plan)
    assert done.fingerprint == plan.fingerprint


def test_a_plan_that_is_no_longer_true_is_not_applied(session: Session) -> None:
    project = project_of(session)
    plan = planned(session, project)
    applied(session, project, DOCUMENT.replace("60", "120"))
    with pytest.raises(Conflict) as refused:
        applied(session, project, fingerprint=plan.fingerprint)
    assert refused.value.code == "plan-outdated"


def test_only_what_a_document_made_is_pruned_and_only_when_asked(session: Session) -> None:
    project = project_of(session)
    applied(session, project)
    less = "version: 1\ninstances: []\n"
    plan = applied(session, project, less)
    assert told(plan) == []
    assert [held.shape.key for _, held in plan.left] == [("production",), ("staging",)]

    by_hand = "version: 1\nowner: somebody else\ninstances: [{environment: review}]\n"
    applied(session, project, by_hand)
    keeps_one = "version: 1\ninstances: [{environment: production}]\n"
    assert told(applied(session, project, keeps_one, prune=True)) == [
        ("change", "production"),
        ("remove", "staging"),
    ]
    forced = applied(session, project, keeps_one, prune=True, force=True)
    assert told(forced) == [("remove", "review")]


def test_a_list_that_a_document_no_longer_has_is_pruned_too(session: Session, said: Said) -> None:
    project = project_of(session)
    applied(session, project, "version: 1\ninstances: [{environment: staging}]\n")
    said()
    plan = applied(session, project, "version: 1\n", prune=True)
    assert told(plan) == [("remove", "staging")]
    assert [type(event) for event in said()] == [InstanceRemoved, ConfigurationApplied]


def test_removing_an_instance_is_for_administrators(session: Session) -> None:
    project = project_of(session)
    applied(session, project, admin=False)
    with pytest.raises(Forbidden):
        applied(session, project, "version: 1\n", prune=True, admin=False)


def test_what_another_document_holds_is_not_changed_unless_taken_over(session: Session) -> None:
    project = project_of(session)
    applied(session, project)
    other = (
        "version: 1\nowner: other\ninstances:\n  - environment: staging\n    intervalSeconds: 90\n"
    )
    with pytest.raises(Invalid) as refused:
        applied(session, project, other)
    assert refused.value.errors[0]["line"] == 4
    assert "held by the document 'mainstay'" in refused.value.detail
    assert told(applied(session, project, other, force=True)) == [("change", "staging")]
    left = applied(session, project, "version: 1\n", prune=False).left
    assert [held.shape.key for _, held in left] == [("production",)], "staging is the other's"


def test_a_thing_that_was_there_is_adopted_and_then_the_document_s(session: Session) -> None:
    project = project_of(session)
    same = "version: 1\ninstances: [{environment: production}]\n"
    plan = applied(session, project, same)
    assert (told(plan), plan.adopted) == ([], 1)
    assert applied(session, project, same).adopted == 0


def test_a_kind_s_refusal_is_told_with_path_and_line_and_nothing_is_left(
    session: Session,
) -> None:
    project = project_of(session)
    before = exported(session, project)
    wrong = DOCUMENT + "    intervalSeconds: 10\n    timeoutSeconds: 20\n"
    with pytest.raises(Invalid) as refused, session.begin_nested():
        applied(session, project, wrong)
    assert refused.value.errors == (
        {
            "field": "instances[1].timeoutSeconds",
            "line": 8,
            "message": "line 8: instances[1].timeoutSeconds is longer than intervalSeconds;"
            " lower it or ask less often",
        },
    )
    assert exported(session, project) == before


@pytest.mark.parametrize(
    ("document", "where", "line", "why"),
    [
        ("version: 2\n", "version", 1, "must be 1"),
        ("instances: []\n", "version", 1, "must be 1"),
        ("version: 1\nproject: other\n", "project", 2, "is 'other'"),
        ("version: 1\nowner: [a]\n", "owner", 2, "is a text"),
        ("version: 1\nmonitors: []\n", "monitors", 2, "is not known; there are instances"),
        ("version: 1\ninstances: {}\n", "instances", 2, "is a list"),
        ("version: 1\ninstances:\n  - production\n", "instances[0]", 3, "is no mapping"),
        ("version: 1\ninstances:\n  - url: ''\n", "instances[0]", 3, "needs environment"),
        (
            "version: 1\ninstances:\n  - environment: a\n    colour: red\n",
            "instances[0].colour",
            4,
            "is not known here",
        ),
        (
            "version: 1\ninstances:\n  - environment: a\n    url: ftp://x\n",
            "instances[0].url",
            4,
            "must begin with http:// or https://",
        ),
        (
            "version: 1\ninstances:\n  - environment: a\n  - environment: a\n",
            "instances[1]",
            4,
            "is the same thing as instances[0] in line 3",
        ),
    ],
)
def test_what_a_document_may_not_say_is_refused_with_path_and_line(
    session: Session, document: str, where: str, line: int, why: str
) -> None:
    project = project_of(session)
    with pytest.raises(Problem) as refused:
        planned(session, project, document)
    fault = refused.value.errors[0]
    assert (fault["field"], fault["line"]) == (where, line)
    assert why in fault["message"]


def test_what_is_exported_changes_nothing(session: Session) -> None:
    project = project_of(session)
    applied(session, project)
    document = exported(session, project)
    assert "url: https://ships.example" in document
    assert "timeoutSeconds" not in document, "defaults are left out"
    assert told(planned(session, project, document)) == []


def test_it_is_remembered_who_applied_what(session: Session) -> None:
    project = project_of(session)
    for index in range(103):
        asked = Asked(document=DOCUMENT)
        at = NOON + timedelta(seconds=index)
        applying.apply(session, project, asked, may_administer=True, now=at)
    page = history.list_applied(session, project.id, limit=60)
    rest = history.list_applied(session, project.id, limit=60, cursor=page.next_cursor or "")
    assert len(page.items) + len(rest.items) == 100
    assert page.items[0].applied_at == NOON + timedelta(seconds=102)
    assert page.items[0].unchanged == 2
