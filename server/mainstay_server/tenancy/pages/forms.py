"""Forms: their fields as text, the browser's own word against forgery, and what was wrong."""

from typing import Annotated

from fastapi import Form
from starlette.requests import Request

from mainstay_server.kernel.problems import Forbidden, Problem

LONGEST_FIELD = 2000

Text = Annotated[str, Form(max_length=LONGEST_FIELD)]


def refuse_foreign(request: Request) -> None:
    """Refuse a form that another site sent, where there is no session yet to bind a token to.

    Browsers say where a form comes from; one that says nothing sends no cookie of value yet.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form came from another site; open our own page and fill it in there.")


def faults(problem: Problem) -> dict[str, str]:
    """The single faults of a refused form by field, in the form's own spelling."""
    return {str(error["field"]): str(error["message"]).capitalize() for error in problem.errors}
