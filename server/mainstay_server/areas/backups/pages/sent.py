"""Forms with fields that may be given several times, or that depend on what was chosen before."""

from typing import Annotated

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request


async def _form_of(request: Request) -> FormData:
    return await request.form()


Sent = Annotated[FormData, Depends(_form_of)]
"""Everything that a form sent; the route's limit of the body holds."""
