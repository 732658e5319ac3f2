"""Plans told: to the API and to the page alike."""

from mainstay_server.areas.configuration.schemas import (
    ChangeAnswer,
    FieldAnswer,
    LeftAnswer,
    Plan,
    PlanAnswer,
)
from mainstay_server.tenancy.subjects import ProjectRef


def answer_of(project: ProjectRef, plan: Plan, *, applied: bool) -> PlanAnswer:
    """A plan as the API tells it."""
    return PlanAnswer(
        project=project.slug,
        owner=plan.owner,
        applied=applied,
        created=plan.count("create"),
        changed=plan.count("change"),
        removed=plan.count("remove"),
        unchanged=len(plan.same),
        adopted=plan.adopted,
        changes=[
            ChangeAnswer(
                kind=step.kind.name,
                name=name_of(step.key),
                action=step.action,
                line=step.line or None,
                fields=[FieldAnswer.model_validate(each) for each in step.fields],
            )
            for step in plan.steps
        ],
        left=[LeftAnswer(kind=kind.name, name=name_of(held.shape.key)) for kind, held in plan.left],
        fingerprint=plan.fingerprint,
    )


def name_of(key: tuple[str, ...]) -> str:
    """A thing's key as people read it: `production / api`."""
    return " / ".join(part for part in key if part)
