"""The parameters by which every list of the API is asked for its pages."""

from typing import Annotated

from fastapi import Query

from mainstay_server.kernel.pagination import LONGEST_CURSOR, MOST_PER_PAGE

Limit = Annotated[
    int, Query(ge=1, le=MOST_PER_PAGE, description="How many, at most.", examples=[50])
]
Cursor = Annotated[
    str, Query(max_length=LONGEST_CURSOR, description="`nextCursor` of the page before.")
]
