"""What is watched, as configuration documents name it: `instance/name`."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from mainstay_server.kernel.configured import ConfiguredProject
from mainstay_server.kernel.problems import Invalid

from .folding import list_watched

MOST_NAMED = 10_000


def ids_by_name(session: Session, project: ConfiguredProject) -> dict[str, list[str]]:
    """The ids of what a project watches by `instance/name`; two of one name are both there."""
    found: dict[str, list[str]] = {}
    for one in list_watched(session, project.id, limit=MOST_NAMED):
        name = f"{project.environment_of(one.instance_id)}/{one.name}"
        found.setdefault(name, []).append(one.id)
    return found


def names_by_id(session: Session, project: ConfiguredProject) -> dict[str, str]:
    """The `instance/name` of what a project watches, by id."""
    return {id_: name for name, ids in ids_by_name(session, project).items() for id_ in ids}


def ids_named(ids: Mapping[str, Sequence[str]], name: str, *, field: str) -> Sequence[str]:
    """What `ids_by_name` found under a name; raises `Invalid`, which names the field."""
    if name not in ids:
        raise Invalid.of_field(field, f"nothing is watched as {name!r}; write instance/name")
    return ids[name]
