"""Forms: their fields as text, the browser's own word against forgery, and what was wrong."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from mainstay_server.kernel.problems import Forbidden, Problem
from mainstay_server.tenancy.frame import redirect_with

LONGEST_FIELD = 2000

Text = Annotated[str, Form(max_length=LONGEST_FIELD)]


def refuse_foreign(request: Request) -> None:
    """Refuse a form that another site sent, where there is no session yet to bind a token to.

    Browsers say where a form comes from; one that says nothing sends no cookie of value yet.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form came from another site; open our own page and fill it in there.")


def done_or_refused(
    session: Session, act: Callable[[], object], *, path: str, done: str
) -> Response:
    """Do it and go back to the page, which says what was done or why not.

    What was refused half way leaves nothing behind.
    """
    try:
        with session.begin_nested():
            act()
    except Problem as problem:
        return redirect_with(path, problem.detail, "critical")
    return redirect_with(path, done)


def faults(problem: Problem) -> dict[str, str]:
    """The single faults of a refused form by field, in the form's own spelling."""
    return {str(error["field"]): str(error["message"]).capitalize() for error in problem.errors}
