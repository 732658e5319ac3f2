"""The pages: how to begin, the history with its chart, and one upload with what is different."""

from tests.areas.results.worlds import junit, uploaded
from tests.world import World


def page(world: World, path: str = "") -> str:
    answer = world.bob.get(f"/dashboard/projects/{world.project}/results{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_without_an_upload_it_shows_the_line_that_makes_one(world: World) -> None:
    assert "mainstay upload results report.xml" in page(world)


def test_history_is_shown_filtered_and_one_upload_tells_what_is_different(world: World) -> None:
    uploaded(world, junit(a="passed", b="failed x"), "?name=backend&branch=main&commit=aaa")
    made = uploaded(
        world, junit(a="failed new", b="passed"), "?name=backend&branch=main&commit=bbb"
    )
    uploaded(world, b'{"coverage": 93}', "?kind=analysis&name=coverage")
    shown = page(world)
    assert "backend" in shown
    assert "1 number" in shown
    assert "bbb" not in page(world, "?name=coverage")
    assert "<time-chart" in page(world, "?name=backend")
    one = page(world, f"/{made['id']}")
    for told in ("New failures", "t::a", "Fixed", "t::b", "since aaa on main"):
        assert told in one
    assert "Nothing matches" in page(world, f"/{made['id']}?q=nothing-like-it")
    assert "Nothing matches" in page(world, "?name=nothing-like-it")


def test_names_and_messages_are_shown_and_never_run(world: World) -> None:
    evil = "&lt;script&gt;alert(1)&lt;/script&gt;"
    made = uploaded(
        world, junit(**{evil: f"failed {evil}"}), "?name=<script>alert(1)<&branch=<script>alert"
    )
    for shown in (page(world), page(world, f"/{made['id']}")):
        assert "<script>alert" not in shown


def test_admins_remove_and_strange_questions_are_refused(world: World) -> None:
    made = uploaded(world, junit(a="passed"))
    path = f"/dashboard/projects/{world.project}/results/{made['id']}"
    assert world.bob.post(f"{path}/remove").status_code == 403
    assert world.bob.get(f"{path}?against={'0' * 36}").status_code == 404
    assert world.bob.get(f"{path}?cursor=x").status_code == 400
    assert world.alice.post(f"{path}/remove").status_code == 303
    assert world.bob.get(path).status_code == 404
