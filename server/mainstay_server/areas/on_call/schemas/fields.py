"""Fields that several shapes have: names, ids, and the examples that stand for them."""

from typing import Annotated

from pydantic import Field

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_PERSON = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c"

Name = Annotated[str, Field(min_length=1, max_length=100, examples=["First line"])]
Id = Annotated[str, Field(max_length=36)]
