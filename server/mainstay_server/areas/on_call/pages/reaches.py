"""What a policy can be for, in words: all projects, one project, one instance."""

from sqlalchemy.orm import Session

from mainstay_server.tenancy.subjects import instances_of_organization

ALL = ("", "All projects")
MOST = 400


def reaches_of(session: Session, organization_id: str) -> dict[str, str]:
    """What can be chosen, by `project`, `project/instance` or "" for all."""
    found = dict([ALL])
    for instance in instances_of_organization(session, organization_id, limit=MOST):
        found.setdefault(instance.project_id, instance.project_name)
        found[f"{instance.project_id}/{instance.id}"] = (
            f"{instance.project_name}: {instance.environment}"
        )
    return found


def reach_of(project_id: str | None, instance_id: str | None) -> str:
    """The same word for what a policy is for."""
    if not project_id:
        return ""
    return f"{project_id}/{instance_id}" if instance_id else project_id
