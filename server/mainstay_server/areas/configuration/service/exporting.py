"""A project written as a document that makes it again."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from sqlalchemy.orm import Session

from mainstay_server.areas.configuration.schemas import VERSION
from mainstay_server.kernel.configured import (
    KEPT,
    Configured,
    ConfiguredProject,
    Held,
    Shape,
    at,
    put,
    written,
)

from .kinds import kinds
from .reading import VARIABLE

WIDEST = 100
SCHEMA_PATH = "/api/configuration.schema.json"
HEAD = """\
# yaml-language-server: $schema={server}{path}
# Everything of {slug} that a document may hold. mainstay apply -f this-file --plan shows what it
# would change. Secrets are ${{NAME:-kept}}: the variable's value or, without one, what is there.
"""


def export_document(session: Session, project: ConfiguredProject, *, server: str) -> str:
    """The project as YAML: each kind's things by key, without values that are the default.

    Applied where it came from it changes nothing; applied elsewhere, with its variables set, it
    makes the same.
    """
    parts = [
        HEAD.format(server=server, path=SCHEMA_PATH, slug=project.slug)
        + dumped({"version": VERSION, "project": project.slug})
    ]
    names: set[str] = set()
    for kind in kinds():
        present = (one for one in kind.export(session, project) if not one.over)
        held = sorted(present, key=lambda one: one.shape.key)
        if held:
            parts.append(dumped({kind.name: [_written(kind, one, names) for one in held]}))
    return "\n".join(parts)


def dumped(value: Mapping[str, Any]) -> str:
    """Values as YAML that `read_document` reads back as they are."""
    return yaml.dump(
        dict(value),
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        allow_unicode=True,
        width=WIDEST,
        default_flow_style=False,
    )


def _written(kind: Configured, held: Held, names: set[str]) -> dict[str, Any]:
    whole = written(held.shape)
    value = escaped(whole)
    for path in held.shape.secret_paths():
        if at(whole, path) not in (None, ""):
            name = _variable_name((kind.name, *held.shape.key, *map(str, path)), names)
            put(value, path, f"${{{name}:-{KEPT}}}")
    return _without_defaults(held.shape, value)


def _without_defaults(shape: Shape, value: Mapping[str, Any]) -> dict[str, Any]:
    """What is not the default, the key first, so that a document reads like a list of names."""
    fields = type(shape).model_fields
    aliases = {name: info.alias or name for name, info in fields.items()}
    first = [aliases[name] for name in shape.KEY if at(value, (aliases[name],)) not in (None, "")]
    default_of = {
        aliases[n]: i.get_default(call_default_factory=True)
        for n, i in fields.items()
        if not i.is_required()
    }
    plain = written(shape)
    rest = [
        name
        for name in value
        if name not in first
        and not (name in default_of and plain[name] == _plain(default_of[name]))
    ]
    return {name: value[name] for name in (*first, *rest)}


def _plain(default: Any) -> Any:  # noqa: ANN401 - whatever a field's default is
    if isinstance(default, Shape):
        return written(default)
    dump = getattr(default, "model_dump", None)
    return dump(mode="json", by_alias=True) if dump else default


def escaped(value: Any) -> Any:  # noqa: ANN401 - a value of YAML
    """Texts in which `${NAME}` means itself."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: "$" + found[0], value)
    if isinstance(value, Mapping):
        return {name: escaped(each) for name, each in value.items()}
    return [escaped(each) for each in value] if isinstance(value, list) else value


def _variable_name(parts: tuple[str, ...], names: set[str]) -> str:
    """A name for a variable, made of what its secret is of; no two of a document are the same."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", "_".join(part for part in parts if part))
    plain = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").upper()
    if not plain or plain[0].isdigit():
        plain = f"SECRET_{plain}"
    name, number = plain, 1
    while name in names:
        number += 1
        name = f"{plain}_{number}"
    names.add(name)
    return name
