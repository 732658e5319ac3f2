"""Routes and what mutes what in documents: by names, at exactly their places."""

from typing import Any

import pytest
from mainstay_server.areas.alerts.configured.routing import (
    INHIBITIONS,
    ROUTES,
    InhibitionShape,
    RouteShape,
)
from mainstay_server.areas.alerts.service import channels
from mainstay_server.contracts.alerts.routing import (
    AlertInhibitionChanged,
    AlertInhibitionCreated,
    AlertInhibitionRemoved,
    AlertRouteChanged,
    AlertRouteCreated,
    AlertRouteRemoved,
)
from mainstay_server.kernel.configured import ConfiguredProject, written
from mainstay_server.kernel.problems import Invalid
from pydantic import ValidationError
from sqlalchemy.orm import Session
from tests.conftest import Said
from tests.world import NOON_YESTERDAY as NOON
from tests.world import a_project, configured_project


@pytest.fixture
def project(session: Session) -> ConfiguredProject:
    instance = a_project(session, now=NOON)
    project = configured_project(instance)
    for name, scope in (("pager", None), ("pager", instance.id)):
        about = (instance.organization_id, instance.project_id, scope)
        config = {"webhookUrl": f"https://hooks.example/{scope}"}
        channels.create_channel(session, about, "webhook", config, name=name, now=NOON)
    return project


def route(**fields: Any) -> RouteShape:
    return RouteShape.model_validate({"name": "outages", "channels": ["pager"]} | fields)


def test_routes_are_held_as_they_were_written_at_their_places(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    wanted = [
        route(position=20, matchers='{severity="critical"}', channels=["production/pager"]),
        route(
            name="first", position=10, groupBy=["team"], muteTimes="Sat-Sun", **{"continue": True}
        ),
    ]
    for each in wanted:
        ROUTES.write(session, project, each, None, NOON)

    first, outages = ROUTES.export(session, project)
    assert [first.shape, outages.shape] == [wanted[1], wanted[0]]
    ROUTES.write(session, project, wanted[0], outages.id, NOON)
    changed = route(position=5, channels=["pager", "production/pager"], enabled=False)
    assert ROUTES.write(session, project, changed, outages.id, NOON) == outages.id
    held, _ = ROUTES.export(session, project)
    assert held.shape == changed
    ROUTES.remove(session, project, held, NOON)

    assert [each.id for each in ROUTES.export(session, project)] == [first.id]
    kinds = [AlertRouteCreated, AlertRouteCreated, AlertRouteChanged, AlertRouteRemoved]
    assert [type(event) for event in said()] == kinds


def test_a_route_to_a_channel_that_is_not_there_says_how_to_name_it(
    session: Session, project: ConfiguredProject
) -> None:
    with pytest.raises(Invalid, match="instance/name"):
        ROUTES.write(session, project, route(channels=["nobody"]), None, NOON)


def test_a_route_whose_last_channel_is_removed_is_written_as_it_is_exported(
    session: Session, project: ConfiguredProject
) -> None:
    made = ROUTES.write(session, project, route(name="  the   outages "), None, NOON)
    (channel,) = (
        each
        for each in channels.list_channels(session, project.id, None)
        if each.instance_id is None
    )
    channels.remove_channel(session, channel, now=NOON)

    (held,) = ROUTES.export(session, project)
    document = RouteShape.model_validate(written(held.shape))
    assert (document.channels, document.name) == ([], "the outages")
    assert ROUTES.write(session, project, document, made, NOON) == made
    (again,) = ROUTES.export(session, project)
    assert again.shape == document


@pytest.mark.parametrize(
    "wrong",
    [{"matchers": "severity"}, {"muteTimes": "nights"}, {"timeZone": "Moon"}, {"channels": [""]}],
)
def test_what_cannot_be_read_is_refused_in_the_document(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        route(**wrong)


def test_what_mutes_what_is_held_changed_and_removed(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    wanted = InhibitionShape(name="north", source="centre=north", target="severity!=info")
    assert (wanted.source, wanted.target) == ('centre="north"', 'severity!="info"')
    made = INHIBITIONS.write(session, project, wanted, None, NOON)
    (held,) = INHIBITIONS.export(session, project)
    assert (held.id, held.shape) == (made, wanted)
    changed = wanted.model_copy(update={"equal": ["centre"]})
    INHIBITIONS.write(session, project, changed, made, NOON)
    (held,) = INHIBITIONS.export(session, project)
    assert held.shape == changed
    INHIBITIONS.remove(session, project, held, NOON)
    assert INHIBITIONS.export(session, project) == []
    kinds = [AlertInhibitionCreated, AlertInhibitionChanged, AlertInhibitionRemoved]
    assert [type(event) for event in said()] == kinds
