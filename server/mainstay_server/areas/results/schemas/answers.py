"""Shapes: what the API of results takes and gives."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mainstay_server.areas.results.models import CaseStatus, Kind
from mainstay_server.kernel.web import Answer
from mainstay_server.kernel.web.bodies import Instant

AN_ID = "0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"
A_REPORT = """<testsuite name="pytest" tests="2" failures="1" time="1.5">
<testcase classname="tests.test_orders" name="test_an_order_is_paid_once" time="1.2"/>
<testcase classname="tests.test_orders" name="test_a_refund_is_kept" time="0.3">
<failure message="assert 1 == 2">tests/test_orders.py:41</failure></testcase>
</testsuite>"""
A_LEDGER = {"steps": [{"name": "migrate", "status": "success", "durationMs": 1200}]}
A_TEST = "tests.test_orders::test_a_refund_is_kept"


class ResultQuery(BaseModel):
    """What is said of results beside them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    kind: Kind = Field(
        Kind.TEST_REPORT,
        description="`test-report`: JUnit's XML, or JSON as a ledger; `run-ledger`: JSON with a"
        " list of steps; `analysis`: JSON with numbers.",
    )
    name: str = Field(
        "",
        max_length=200,
        description="Which results they are, the same every time, such as the suite's name.",
        examples=["backend"],
    )
    branch: str = Field("", max_length=200, description="The branch.", examples=["main"])
    commit: str = Field("", max_length=64, description="The commit.", examples=["9f2c1e7"])


ResultAbout = Annotated[ResultQuery, Query()]


class ResultAnswer(Answer):
    """One upload. `isNew` is false when the same file of the same commit was there already."""

    id: Annotated[str, Field(examples=[AN_ID])]
    kind: Annotated[Kind, Field(examples=["test-report"])]
    name: Annotated[str, Field(examples=["backend"])]
    branch: Annotated[str, Field(examples=["main"])]
    commit: Annotated[str, Field(examples=["9f2c1e7"])]
    digest: Annotated[str, Field(examples=["5f70bf18a086007016e948b04aed3b82" * 2])]
    made_by: Annotated[str, Field(examples=["Ada"])]
    bytes: Annotated[int, Field(examples=[48_213])]
    total: Annotated[int, Field(examples=[412])]
    passed: Annotated[int, Field(examples=[408])]
    failed: Annotated[int, Field(examples=[1])]
    skipped: Annotated[int, Field(examples=[3])]
    seconds: Annotated[float, Field(examples=[61.4])]
    metrics: Annotated[int, Field(examples=[0])]
    received_at: Instant
    is_new: Annotated[bool, Field(examples=[True])] = True


class Results(Answer):
    """A page of uploads, newest first."""

    results: list[ResultAnswer]
    next_cursor: str | None


class CaseAnswer(Answer):
    """One test or step, in seconds."""

    name: Annotated[str, Field(examples=[A_TEST])]
    status: Annotated[CaseStatus, Field(examples=["failed"])]
    seconds: Annotated[float, Field(examples=[0.3])]
    message: Annotated[str, Field(examples=["assert 1 == 2"])]


class Cases(Answer):
    """A page of cases by name, and all numbers of the upload."""

    cases: list[CaseAnswer]
    metrics: Annotated[dict[str, float], Field(examples=[{"coverage.lines": 93.1}])]
    next_cursor: str | None


class SlowerAnswer(Answer):
    """A case that takes half as long again, and half a second longer, in seconds."""

    name: Annotated[str, Field(examples=[A_TEST])]
    before: Annotated[float, Field(examples=[0.4])]
    after: Annotated[float, Field(examples=[2.1])]


class MovedAnswer(Answer):
    """A number that is another one; null where it is not there."""

    name: Annotated[str, Field(examples=["coverage.lines"])]
    before: Annotated[float | None, Field(examples=[93.1])]
    after: Annotated[float | None, Field(examples=[91.4])]


class ComparisonAnswer(Answer):
    """What is different. `counts` counts all; the lists have the first 200 of each."""

    against: ResultAnswer | None
    counts: Annotated[dict[str, int], Field(examples=[{"newFailures": 1, "fixed": 0}])]
    new_failures: list[CaseAnswer]
    still_failing: list[CaseAnswer]
    fixed: Annotated[list[str], Field(examples=[[A_TEST]])]
    added: Annotated[list[str], Field(examples=[[A_TEST]])]
    removed: Annotated[list[str], Field(examples=[[A_TEST]])]
    slower: list[SlowerAnswer]
    metrics: list[MovedAnswer]
