"""The pages of errors, as people see them."""

from pathlib import Path

from tests.world import World

from .conftest import an_event, issues, report

WIRE = Path(__file__).parents[4] / "wire" / "envelope"
LIST = "/dashboard/projects/inspections/errors"


def test_an_empty_list_shows_the_snippet_with_this_projects_dsn(world: World) -> None:
    page = world.bob.get(LIST)

    assert page.status_code == 200
    assert f"{world.ingest_key}@mainstay.test/1" in page.text


def test_an_error_is_on_the_list_and_on_a_page_with_lines_and_variables(world: World) -> None:
    answer = world.stranger.post(
        "/api/1/envelope/",
        content=(WIRE / "full.txt").read_bytes(),
        headers={"x-sentry-auth": f"Sentry sentry_key={world.ingest_key}"},
    )
    assert answer.json() == {"id": "c9574dc5d01042558c518b8c07ae22e6"}

    (issue,) = issues()
    assert "ZeroDivisionError: division by zero" in world.bob.get(LIST).text
    page = world.bob.get(f"{LIST}/{issue.id}").text
    for shown in ("average_score", "return total / count", "count", "opened", "north wing", "Zoë"):
        assert shown in page


def test_a_long_list_of_a_context_is_folded(world: World) -> None:
    few = {f"small-{n}": "1.0" for n in range(12)}
    report(world, an_event(modules={f"package-{n}": "1.0" for n in range(60)}, extra=few))

    (issue,) = issues()
    page = world.bob.get(f"{LIST}/{issue.id}").text
    assert "<details><summary>60 entries</summary>" in page
    assert "package-59" in page
    assert "12 entries" not in page


def test_nothing_of_an_event_becomes_markup(world: World) -> None:
    evil = "<script>alert(1)</script>"
    event = an_event(message=evil, tags={evil: evil}, breadcrumbs=[{"message": evil}])
    event["user"] = {"username": evil}
    event["contexts"] = {evil: {evil: evil}}
    event["exception"]["values"][0] |= {"type": evil, "value": evil}
    event["exception"]["values"][0]["stacktrace"]["frames"][0] |= {
        "function": evil,
        "context_line": evil,
        "vars": {evil: evil},
    }
    report(world, event)

    (issue,) = issues()
    for path in (LIST, f"{LIST}/{issue.id}"):
        page = world.bob.get(path)
        assert page.status_code == 200
        assert evil not in page.text
