"""What a document may hold of e-mail: the organization's own templates.

Templates are the organization's: apps of all its projects send by them. A document of one project
may hold them nevertheless, since they belong to the code that names them; what another project's
document holds too is written by whichever is applied later.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import Configured, ConfiguredProject, Held, Shape
from mainstay_server.kernel.problems import Invalid

from .models import EmailKind
from .schemas.api import TemplateBody
from .service import looks, templates


class TemplateShape(TemplateBody, Shape):
    """A template of a mail; it is taken only if it can be filled with its own example."""

    name: str = Field(min_length=1, max_length=60, examples=["order_paid"])

    @model_validator(mode="after")
    def _is_called_as_requests_call_it(self) -> Self:
        try:
            self.name = templates.checked_name(self.name)
        except Invalid as problem:
            raise ValueError(problem.detail) from None
        return self

    def body(self) -> TemplateBody:
        """The template without its name."""
        return TemplateBody.model_validate(self.model_dump(exclude={"name"}))


def export_templates(session: Session, project: ConfiguredProject) -> Sequence[Held]:
    """Every template of the organization's own."""
    return [
        Held(
            id=row.id,
            shape=TemplateShape.model_construct(
                name=row.name,
                kind=EmailKind(row.kind),
                subject=row.subject,
                html=row.html,
                text=row.text,
                example=row.example,
            ),
        )
        for row in templates.own_templates(session, project.organization_id)
    ]


def write_template(
    session: Session,
    project: ConfiguredProject,
    wanted: TemplateShape,
    template_id: str | None,
    now: datetime,
) -> str:
    """Write a template, new or anew, if it makes a mail of its example."""
    _ = template_id  # its name says which it is
    body = wanted.body()
    templates.try_out(wanted.name, body, looks.brand_of(session, project.organization_id))
    row = templates.save_template(session, project.organization_id, wanted.name, body, now=now)
    return row.id


def remove_template(
    session: Session, project: ConfiguredProject, held: Held, now: datetime
) -> None:
    """Remove a template; one that comes with Mainstay under its name holds again."""
    templates.remove_template(session, project.organization_id, held.shape.key[0], now=now)


TEMPLATES = Configured(
    name="emailTemplates",
    title="template of mails",
    order=95,
    shape=TemplateShape,
    export=export_templates,
    write=write_template,
    remove=remove_template,
    guarded=True,
)
