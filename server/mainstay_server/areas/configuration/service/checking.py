"""A document that was read becomes shapes of kinds, or a list of what is wrong in which line."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mainstay_server.areas.configuration.schemas import DEFAULT_OWNER, VERSION, Head
from mainstay_server.kernel.configured import Path, Shape, lies_in
from mainstay_server.kernel.problems import Invalid

from .kinds import EXTENSION, kinds_by_name
from .reading import Document

MOST_THINGS = 10_000
MOST_FAULTS = 50
LONGEST_OWNER = 100
OWN_KEYS = ("version", "project", "owner")

Fault = dict[str, Any]


def check_document(document: Document, *, slug: str) -> Head:
    """The shapes that a document holds, by kind and with their paths.

    Raises:
        Invalid: with at most 50 faults, each with its path and line: unknown keys, values that
            cannot be, the same thing twice, another project or version.
    """
    faults = [*_faults_of_head(document, slug=slug)]
    owner = document.tree.get("owner") or DEFAULT_OWNER
    things: dict[str, list[tuple[Path, Shape]]] = {}
    known = kinds_by_name()
    for name, listed in document.tree.items():
        if name in OWN_KEYS or name.startswith(EXTENSION):
            continue
        if name not in known:
            faults.append(fault(document, (name,), f"is not known; there are {', '.join(known)}"))
        elif not isinstance(listed, list | None):
            faults.append(fault(document, (name,), "is a list; begin each of its things with -"))
        else:
            things[name] = _shapes(document, known[name].shape, name, listed or (), faults)
    if sum(map(len, things.values())) > MOST_THINGS:
        faults.append(fault(document, (), f"has more than {MOST_THINGS:,} things; split it"))
    if faults:
        refuse(faults)
    return Head(owner=str(owner), things=things)


def fault(document: Document, path: Path, what: str) -> Fault:
    """One fault as the API tells it: where, in which line, and what."""
    line, where = document.line_of(path), shown(path)
    return {"field": where, "line": line, "message": f"line {line}: {where} {what}"}


def refuse(faults: Sequence[Fault]) -> NoReturn:
    """Refuse a document for its faults, the first of them in the sentence."""
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    raise Invalid(
        f"The document is refused; {faults[0]['message']}{more}.",
        errors=faults[:MOST_FAULTS],
        code="refused-document",
    )


def shown(path: Path) -> str:
    """A path as people write it: `healthChecks[3].url`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the document"


def _faults_of_head(document: Document, *, slug: str) -> list[Fault]:
    faults = []
    version = document.tree.get("version")
    if version is not VERSION:
        what = f"must be {VERSION}, the one version that there is; begin with version: {VERSION}"
        faults.append(fault(document, ("version",), what))
    project = document.tree.get("project")
    if project not in (None, "", slug):
        what = f"is {project!r}, and this is {slug!r}; apply it there, or change the line"
        faults.append(fault(document, ("project",), what))
    owner = document.tree.get("owner")
    if owner is not None and (not isinstance(owner, str) or not 0 < len(owner) <= LONGEST_OWNER):
        faults.append(fault(document, ("owner",), f"is a text of 1 to {LONGEST_OWNER} characters"))
    return faults


def _shapes(
    document: Document,
    shape: type[Shape],
    name: str,
    listed: Sequence[Any],
    faults: list[Fault],
) -> list[tuple[Path, Shape]]:
    found: list[tuple[Path, Shape]] = []
    places: dict[tuple[str, ...], Path] = {}
    for index, each in enumerate(listed):
        path: Path = (name, index)
        if len(faults) > MOST_FAULTS:
            break
        if not isinstance(each, Mapping):
            faults.append(fault(document, path, "is no mapping of fields"))
            continue
        try:
            made = shape.model_validate(each)
        except ValidationError as error:
            faults.extend(_fault_of(document, path, each, one) for one in error.errors())
            continue
        first = places.setdefault(made.key, path)
        if first != path:
            what = f"is the same thing as {shown(first)} in line {document.line_of(first)}"
            faults.append(fault(document, path, what))
        found.append((path, made))
    return found


def _fault_of(document: Document, path: Path, each: object, error: ErrorDetails) -> Fault:
    inner = _path_in(each, error["loc"])
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        what = "is not known here"
    elif error["type"] == "missing":
        what = f"needs {error['loc'][-1]}"
    return fault(document, (*path, *inner), what[:1].lower() + what[1:])


def _path_in(value: Any, location: Sequence[int | str]) -> Path:  # noqa: ANN401 - a value of YAML
    """A location without what pydantic adds for its own sake, such as the tag of a union."""
    found: list[int | str] = []
    for step in location:
        if lies_in(value, step):
            found.append(step)
            value = value[step]
    return tuple(found)
