"""A refusal says what it is, in the same words for good."""

import pytest
from mainstay_server.kernel import problems
from mainstay_server.kernel.problems import Problem


def test_a_problem_becomes_problem_details() -> None:
    problem = problems.Invalid(
        "Give the project a name.", errors=[{"field": "name", "message": "is empty"}]
    )
    assert problem.to_json("/api/projects") == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "invalid",
        "detail": "Give the project a name.",
        "errors": [{"field": "name", "message": "is empty"}],
        "instance": "/api/projects",
    }


def test_the_fault_of_one_field_is_told_once_and_with_its_name() -> None:
    problem = problems.Conflict.of_field("name", "There is one called ann; take another.")

    assert problem.status == 409
    assert problem.detail == "There is one called ann; take another."
    assert problem.errors == ({"field": "name", "message": problem.detail},)


def test_one_status_may_have_several_codes() -> None:
    problem = problems.Conflict("Choose another slug.", code="slug-taken")
    assert (problem.code, problems.Conflict.code) == ("slug-taken", "conflict")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (problems.Invalid, 400, "invalid"),
        (problems.Unauthenticated, 401, "unauthenticated"),
        (problems.Forbidden, 403, "forbidden"),
        (problems.NotFound, 404, "not-found"),
        (problems.MethodNotAllowed, 405, "method-not-allowed"),
        (problems.Conflict, 409, "conflict"),
        (problems.Gone, 410, "gone"),
        (problems.TooLarge, 413, "too-large"),
        (problems.UnsupportedMedia, 415, "unsupported-media"),
        (problems.TooManyRequests, 429, "too-many-requests"),
        (problems.Unavailable, 503, "unavailable"),
    ],
)
def test_status_and_code_never_change(kind: type[Problem], status: int, code: str) -> None:
    assert (kind.status, kind.code) == (status, code)
