"""The project that a document is about, as the rules of alerts take it."""

from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import ConfiguredProject
from mainstay_server.tenancy.subjects import ProjectRef, find_project


def ref_of(session: Session, project: ConfiguredProject) -> ProjectRef:
    """The reference to the project; it is there as long as a document is applied to it."""
    found = find_project(session, project.id)
    assert found is not None, "a document is applied to a project that is there"
    return found
