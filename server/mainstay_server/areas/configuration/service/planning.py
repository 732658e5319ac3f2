"""What a document would change: its shapes beside what is there, value by value."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from mainstay_server.areas.configuration.schemas import Asked, FieldChange, Head, Plan, Step
from mainstay_server.kernel.configured import (
    KEPT,
    Configured,
    ConfiguredProject,
    Held,
    Path,
    Shape,
    at,
    leaves,
    put,
    written,
)
from mainstay_server.kernel.problems import Forbidden
from mainstay_server.kernel.settings import secret_key

from . import claiming
from .checking import Fault, check_document, fault, refuse
from .kinds import kinds
from .reading import Document

SET = "set"
ANOTHER = "another"
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One document asked about one project."""

    document: Document
    head: Head
    asked: Asked
    claims: Mapping[claiming.Thing, str]
    faults: list[Fault] = field(default_factory=list)


def plan_document(
    session: Session, project: ConfiguredProject, document: Document, asked: Asked
) -> Plan:
    """What the document would change on the project as it is now. Changes nothing.

    Things that it does not hold are left alone; with `prune` those that it made are removed, with
    `force` too all in the lists that it has.

    Raises:
        Invalid: what `check_document` refuses, a secret to keep where there is none, or a thing
            that another document holds; with paths and lines.
    """
    head = check_document(document, slug=project.slug)
    claims = claiming.claims_of(session, project.id)
    question = _Question(document=document, head=head, asked=asked, claims=claims)
    plan = Plan(owner=head.owner)
    for kind in kinds():
        owned = any(name == kind.name for name, _ in claims)
        if kind.name not in head.things and not owned:
            continue
        held = {one.shape.key: one for one in kind.export(session, project)}
        for path, wanted in head.things.get(kind.name, ()):
            _add(plan, question, path, kind, wanted, held.get(wanted.key))
        _add_absent(plan, question, kind, held)
    if question.faults:
        refuse(question.faults)
    plan.fingerprint = _fingerprint(plan)
    return plan


def refuse_for_members(plan: Plan) -> None:
    """Raises `Forbidden` where it removes or sets what only administrators may."""
    for step in plan.steps:
        if step.action == "remove" and step.kind.guarded:
            raise Forbidden(
                f"Removing the {step.kind.title} {' / '.join(step.key)} is for admins; ask one, or"
                " apply without prune."
            )
        if administered := _administered(step):
            raise Forbidden(
                f"Setting {', '.join(administered)} of the {step.kind.title}"
                f" {' / '.join(step.key)} is for admins; ask one, or leave them as they are."
            )


def _administered(step: Step) -> list[str]:
    """The fields that a step sets and only administrators may; a new thing has what is usual."""
    if step.wanted is None:
        return []
    present = step.held.shape if step.held else None
    found = []
    for name, about in type(step.wanted).model_fields.items():
        if name not in step.kind.administered or (present is None and about.is_required()):
            continue
        usual = about.get_default(call_default_factory=True)
        before = usual if present is None else getattr(present, name)
        if getattr(step.wanted, name) != before:
            found.append(about.alias or name)
    return found


def _add(
    plan: Plan,
    question: _Question,
    path: Path,
    kind: Configured,
    wanted: Shape,
    present: Held | None,
) -> None:
    _refuse_of_another(question, path, kind, present)
    wanted = _with_kept(question, path, wanted, present)
    fields = _changes(question.document, path, wanted, present)
    if present is not None and (kind.name, present.id) not in question.claims:
        plan.adopted += 1
    if present is not None and not fields:
        plan.same.append((kind, present))
        return
    plan.steps.append(
        Step(
            kind=kind,
            action="change" if present else "create",
            key=wanted.key,
            path=path,
            line=question.document.line_of(path),
            wanted=wanted,
            held=present,
            fields=fields,
        )
    )


def _add_absent(
    plan: Plan, question: _Question, kind: Configured, held: Mapping[Key, Held]
) -> None:
    """Add what the document does not hold: to be removed, or left though it made it."""
    head, asked = question.head, question.asked
    wanted = {shape.key for _, shape in head.things.get(kind.name, ())}
    for key, one in held.items():
        if key in wanted or not one.removable:
            continue
        owned = question.claims.get((kind.name, one.id)) == head.owner
        by_force = asked.force and kind.name in head.things
        if asked.prune and (owned or by_force):
            plan.steps.append(_removal(kind, key, one))
        elif owned:
            plan.left.append((kind, one))


def _removal(kind: Configured, key: Key, held: Held) -> Step:
    gone = (FieldChange(field=n, before=v, after=None) for n, v in masked(held.shape).items())
    return Step(
        kind=kind,
        action="remove",
        key=key,
        path=(),
        line=0,
        wanted=None,
        held=held,
        fields=tuple(gone),
    )


def _refuse_of_another(
    question: _Question, path: Path, kind: Configured, present: Held | None
) -> None:
    owner = question.head.owner
    other = question.claims.get((kind.name, present.id), owner) if present else owner
    if other != owner and not question.asked.force:
        what = f"is held by the document {other!r}; remove it there, or take it over with force"
        question.faults.append(fault(question.document, path, what))


def _with_kept(question: _Question, path: Path, wanted: Shape, present: Held | None) -> Shape:
    """The shape with what is there now wherever it says `kept` of a secret."""
    value = written(wanted)
    paths = [where for where in wanted.secret_paths() if at(value, where) == KEPT]
    if not paths:
        return wanted
    had = written(present.shape) if present else {}
    kept_paths: list[Path] = []
    for where in paths:
        kept = at(had, where)
        if kept not in (None, ""):
            put(value, where, kept)
            kept_paths.append(where)
        elif not _may_lack(wanted, where):
            hint = question.document.variables.get((*path, *where), "")
            next_step = f"set the variable of {hint}" if hint else "give it one"
            what = f"has no secret to keep yet; {next_step}"
            question.faults.append(fault(question.document, (*path, *where), what))
    whole = type(wanted).model_validate(value)
    if present and kept_paths and not whole.keeps_secrets_of(present.shape):
        what = "goes elsewhere now, where a kept secret was not meant for; give it again"
        question.faults.append(fault(question.document, (*path, *kept_paths[0]), what))
    return whole


def _may_lack(wanted: Shape, where: Path) -> bool:
    """Whether the kind makes a secret by itself when it is to keep one that is not there."""
    field = type(wanted).model_fields.get(_snake(str(where[0])))
    return len(where) == 1 and field is not None and field.default == KEPT


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _changes(
    document: Document, path: Path, wanted: Shape, present: Held | None
) -> tuple[FieldChange, ...]:
    """What is different, by the names of the document; secrets say only that they are.

    A text that came by a variable is shown as it was written: whoever wrote one may have meant it
    for no eye. A number or a switch says what it will be.
    """
    before = dict(leaves(written(present.shape))) if present else {}
    # Of something new, what is not as usual.
    after = dict(leaves(written(wanted) if present else unusual(wanted)))
    secret = {*wanted.secret_paths(), *(present.shape.secret_paths() if present else ())}
    changes = []
    for where in {**before, **after}:
        was, is_now = before.get(where), after.get(where)
        if was == is_now or (present is None and is_now in (None, "", [], {})):
            continue
        came_by = document.variables.get((*path, *where))
        if where not in secret and not _within(where, secret):
            is_now = came_by or is_now if is_now and isinstance(is_now, str) else is_now
        else:
            was = SET if was else None
            is_now = (came_by or (ANOTHER if was else SET)) if is_now else None
        changes.append(FieldChange(field=_dotted(where), before=was, after=is_now))
    return tuple(changes)


def unusual(shape: Shape) -> dict[str, Any]:
    """The values of a thing that are not the default of their field."""
    return shape.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def masked(shape: Shape) -> dict[str, Any]:
    """The values of a thing by dotted path, a secret only as set."""
    secret = set(shape.secret_paths())
    return {
        _dotted(where): SET if where in secret or _within(where, secret) else value
        for where, value in leaves(unusual(shape))
        if value not in (None, "", [], {})
    }


def _within(where: Path, secret: Iterable[Path]) -> bool:
    return any(where[: len(one)] == one for one in secret)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _fingerprint(plan: Plan) -> str:
    """A name for exactly these changes; made with the server's key, so that it tells no secret."""
    told: Sequence[Any] = [
        [
            step.kind.name,
            step.action,
            step.key,
            written(step.held.shape) if step.held else None,
            written(step.wanted) if step.wanted else None,
        ]
        for step in plan.steps
    ]
    text = json.dumps([plan.owner, told], sort_keys=True, ensure_ascii=False)
    return hmac.new(secret_key(), text.encode(), hashlib.sha256).hexdigest()[:32]
