"""The limits that everybody has, and what people make of them."""

from typing import Any

import pytest
from mainstay_server.areas.rate_limits.schemas import PRESETS, NewRateLimit
from mainstay_server.areas.rate_limits.service import policies
from mainstay_server.areas.rate_limits.service.deciding import compile_section, publish_section
from mainstay_server.contracts.rate_limits import (
    RateLimitChanged,
    RateLimitCreated,
    RateLimitRemoved,
)
from mainstay_server.kernel.guard import policy_version
from mainstay_server.kernel.problems import Conflict, Invalid, NotFound
from mainstay_server.kernel.subjects import InstanceRef
from sqlalchemy.orm import Session
from tests.areas.rate_limits.conftest import NOON
from tests.conftest import Said


def a_limit(name: str = "reports", **values: Any) -> NewRateLimit:
    return NewRateLimit.model_validate({"name": name, "quota": 5, "windowSeconds": 3600, **values})


def names(session: Session, instance: InstanceRef) -> list[str]:
    return [policy.name for policy in policies.list_policies(session, instance.id)]


def test_an_instance_begins_with_a_hundred_a_minute_for_everybody(
    session: Session, instance: InstanceRef
) -> None:
    assert publish_section(session, instance, NOON) == {
        "policies": [
            {
                "name": "default",
                "methods": [],
                "paths": ["/*"],
                "plans": [],
                "by": "caller",
                "quota": 100,
                "windowSeconds": 60,
                "burst": 100,
                "cost": 1,
                "onBackendError": "local",
                "simulate": False,
            }
        ]
    }


def test_a_new_limit_is_published_and_said_once(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    policies.create_policy(session, instance, a_limit(methods=["post"]), now=NOON)

    assert names(session, instance) == ["default", "reports"]
    assert policy_version(session, instance.id) == 1
    (event,) = said()
    assert isinstance(event, RateLimitCreated)
    assert (event.audited, event.name) == (True, "reports")
    assert event.changes["quota"] == (None, 5)
    assert event.changes["methods"] == (None, ["POST"])


def test_a_change_says_only_what_differs_and_nothing_when_nothing_does(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    policies.change_policy(session, instance, "default", {"quota": 200}, now=NOON)
    (event,) = said()
    policies.change_policy(session, instance, "default", {"quota": 200}, now=NOON)

    assert isinstance(event, RateLimitChanged)
    followed = {"quota": (100, 200), "burst": (100, 200)}
    assert event.changes == followed, "a burst that was the quota follows it"
    assert said() == []
    assert policy_version(session, instance.id) == 1


def test_a_removed_limit_is_gone_and_the_default_stays(
    session: Session, instance: InstanceRef, said: Said
) -> None:
    policies.create_policy(session, instance, a_limit(), now=NOON)
    policies.remove_policy(session, instance, "reports", now=NOON)

    assert names(session, instance) == ["default"]
    assert [type(event) for event in said()] == [RateLimitCreated, RateLimitRemoved]
    with pytest.raises(NotFound):
        policies.remove_policy(session, instance, "reports", now=NOON)
    with pytest.raises(Conflict, match="switch it off"):
        policies.remove_policy(session, instance, "default", now=NOON)


def test_a_limit_that_is_off_is_not_published(session: Session, instance: InstanceRef) -> None:
    policies.change_policy(session, instance, "default", {"enabled": False}, now=NOON)

    assert publish_section(session, instance, NOON) == {"policies": []}
    assert names(session, instance) == ["default"]


@pytest.mark.parametrize("name", ["default", "reports"])
def test_a_name_is_taken_once(name: str, session: Session, instance: InstanceRef) -> None:
    policies.create_policy(session, instance, a_limit(), now=NOON)
    with pytest.raises(Conflict, match="change that one"):
        policies.create_policy(session, instance, a_limit(name), now=NOON)


def test_an_instance_has_at_most_fifty_limits(session: Session, instance: InstanceRef) -> None:
    for number in range(policies.MOST_POLICIES):
        policies.create_policy(session, instance, a_limit(f"n{number}"), now=NOON)
    with pytest.raises(Conflict, match="remove one"):
        policies.create_policy(session, instance, a_limit("more"), now=NOON)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"quota": 100_000, "windowSeconds": 1}, "quota"),
        ({"quota": 1, "windowSeconds": 366 * 86_400, "burst": 11}, "burst"),
        ({"quota": 5, "cost": 6}, "cost"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_field(
    values: dict[str, Any], field: str, session: Session, instance: InstanceRef
) -> None:
    with pytest.raises(Invalid) as refused:
        policies.create_policy(session, instance, a_limit(**values), now=NOON)
    assert refused.value.errors[0]["field"] == field


@pytest.mark.parametrize(
    "values",
    [
        {"name": "key"},
        {"name": "two words"},
        {"name": ""},
        {"methods": ["GE T"]},
        {"paths": []},
        {"paths": ["no-slash"]},
        {"paths": ["/a*b"]},
        {"paths": ["/a\nb"]},
        {"by": "moon"},
        {"quota": 0},
        {"onBackendError": "shrug"},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        a_limit(**values)


def test_every_preset_can_be_added_and_counts(session: Session, instance: InstanceRef) -> None:
    for name in PRESETS:
        policies.add_preset(session, instance, name, now=NOON)

    section = publish_section(session, instance, NOON)
    compiled = compile_section(section)
    assert [limit.named.name for limit in compiled.of_route("POST", "/api/register")] == [
        "default",
        "per-address",
        "register",
    ]
    rates = {p["name"]: (p["quota"], p["windowSeconds"]) for p in section["policies"]}
    assert rates["register"] == (5, 3600)
    assert rates["preferences"] == (20, 3600)
    with pytest.raises(NotFound):
        policies.add_preset(session, instance, "moon", now=NOON)
