"""What was learnt of an incident, over HTTP."""

from sqlalchemy.orm import Session
from starlette.responses import Response

from mainstay_server.areas.incidents.schemas import A_TIME, PostmortemAnswer, PostmortemBody
from mainstay_server.areas.incidents.service import incidents, postmortems
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.web import Router, example

from .answers import ONE, Viewed, Written

POSTMORTEM = {
    "body": "# Payments time out\n",
    "version": 1,
    "changedAt": A_TIME,
    "changedBy": "Ada",
}
MARKDOWN = "text/markdown; charset=utf-8"

router = Router(prefix=ONE + "/postmortem")


@router.get("", summary="The postmortem of an incident", responses=example(POSTMORTEM))
def get_postmortem(session: Session, project: Viewed, incident_id: str) -> PostmortemAnswer:
    """What was written; while nobody has, the draft of the template, with version 0."""
    incident = incidents.get_incident(session, project.id, incident_id)
    found = postmortems.find_postmortem(session, incident.id)
    if found is not None:
        return PostmortemAnswer.model_validate(found)
    body = postmortems.draft(session, incident, now=utc_now())
    return PostmortemAnswer(body=body, version=0, changed_at=None, changed_by="")


@router.put("", summary="Write the postmortem of an incident", responses=example(POSTMORTEM))
def write_postmortem(
    session: Session, project: Written, incident_id: str, body: PostmortemBody
) -> PostmortemAnswer:
    """Keep what was learnt, unless somebody changed it since `version` (409)."""
    incident = incidents.get_incident(session, project.id, incident_id, locked=True)
    saved = postmortems.save(session, incident, body.body, version=body.version, now=utc_now())
    return PostmortemAnswer.model_validate(saved)


@router.get(
    "/export",
    summary="Export the postmortem of an incident",
    response_class=Response,
    responses={
        200: {
            "description": "The Markdown, as a file.",
            "content": {
                "text/markdown": {
                    "schema": {"type": "string"},
                    "example": "# Payments time out\n",
                }
            },
        }
    },
)
def export_postmortem(session: Session, project: Viewed, incident_id: str) -> Response:
    """The postmortem, or else its draft, as a Markdown file."""
    incident = incidents.get_incident(session, project.id, incident_id)
    text = postmortems.text_of(session, incident, now=utc_now())
    name = f"{project.slug}-incident-{incident.number}.md"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=MARKDOWN, headers=headers)
