"""Forms: their fields as text, and what was wrong with them."""

from typing import Annotated

from fastapi import Form

from mainstay_server.kernel.problems import Problem

LONGEST_FIELD = 2000

Text = Annotated[str, Form(max_length=LONGEST_FIELD)]


def faults(problem: Problem) -> dict[str, str]:
    """The single faults of a refused form by field, in the form's own spelling."""
    return {str(error["field"]): str(error["message"]).capitalize() for error in problem.errors}
