"""Templates of mails in documents: kept as they were written, if they make a mail."""

from typing import Any

import pytest
from mainstay_server.areas.email.configured import TEMPLATES, TemplateShape
from mainstay_server.contracts.email import (
    EmailTemplateChanged,
    EmailTemplateCreated,
    EmailTemplateRemoved,
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
    return configured_project(instance)


def shape(**fields: Any) -> TemplateShape:
    usual = {
        "name": "order_paid",
        "subject": "Order {{ number }} is paid",
        "html": "<p>Thank you, {{ name }}. ${NOT_OURS}</p>",
        "example": {"number": 7, "name": "Ada", "lines": [{"what": "Rope"}]},
    }
    return TemplateShape.model_validate(usual | fields)


def test_a_template_is_held_as_it_was_written_changed_and_removed(
    session: Session, project: ConfiguredProject, said: Said
) -> None:
    said()
    made = TEMPLATES.write(session, project, shape(), None, NOON)
    (held,) = TEMPLATES.export(session, project)
    assert (held.id, held.shape) == (made, shape())
    assert TemplateShape.model_validate(written(held.shape)) == shape()
    changed = shape(subject="Paid: {{ number }}", text="{{ name }}", kind="subscription")
    assert TEMPLATES.write(session, project, changed, made, NOON) == made
    (held,) = TEMPLATES.export(session, project)
    assert held.shape == changed
    TEMPLATES.remove(session, project, held, NOON)
    assert TEMPLATES.export(session, project) == []
    kinds = [EmailTemplateCreated, EmailTemplateChanged, EmailTemplateRemoved]
    assert [type(event) for event in said()] == kinds


def test_one_that_makes_no_mail_of_its_example_is_refused(
    session: Session, project: ConfiguredProject
) -> None:
    for wrong in ("<p>{{ nobody.name }}</p>", "<p>{% include 'x' %}</p>", "<p>{{ name</p>"):
        with pytest.raises(Invalid):
            TEMPLATES.write(session, project, shape(html=wrong), None, NOON)
    assert TEMPLATES.export(session, project) == []


@pytest.mark.parametrize("wrong", [{"name": "Order paid"}, {"html": ""}, {"kind": "spam"}])
def test_what_is_no_template_is_refused_in_the_document(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shape(**wrong)
