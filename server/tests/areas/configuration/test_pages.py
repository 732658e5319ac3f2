"""The page: what it is now, a plan with its differences, and applying what was seen."""

import html
import re
from typing import Any

from tests.world import Browser, World

DOCUMENT = """\
version: 1
instances:
  - environment: production
    url: ${WHERE}
"""
WHERE = "WHERE = https://ships.example"


def post(world: World, who: Browser, verb: str, **form: Any) -> tuple[int, str]:
    answer = who.post(f"/dashboard/projects/{world.project}/configuration/{verb}", data=form)
    return answer.status_code, html.unescape(answer.text)


def page(world: World, who: Browser) -> str:
    answer = who.get(f"/dashboard/projects/{world.project}/configuration")
    assert answer.status_code == 200
    return html.unescape(answer.text)


def fingerprint_in(text: str) -> str:
    found = re.search(r'name="fingerprint" value="([0-9a-f]+)"', text)
    assert found
    return found[1]


def test_a_document_is_planned_seen_and_applied(world: World) -> None:
    assert "No document was applied yet" in page(world, world.bob)
    _, seen = post(world, world.bob, "plan", document=DOCUMENT, variables=WHERE)
    assert "https://ships.example" in seen
    assert "nothing is changed yet" in seen
    form = {"document": DOCUMENT, "variables": WHERE, "fingerprint": fingerprint_in(seen)}
    status, _ = post(world, world.bob, "apply", **form)
    assert status == 303
    now = page(world, world.bob)
    assert "Last applied by Bob" in now
    assert "url: https://ships.example" in now
    _, again = post(world, world.bob, "plan", document=DOCUMENT, variables=WHERE)
    assert "Nothing to do" in again


def test_what_changed_since_the_plan_was_seen_is_not_applied(world: World) -> None:
    _, seen = post(world, world.bob, "plan", document=DOCUMENT, variables=WHERE)
    world.bob.patch(f"/api/instances/{world.instance.id}", json={"url": "https://other.example"})
    form = {"document": DOCUMENT, "variables": WHERE, "fingerprint": fingerprint_in(seen)}
    status, shown = post(world, world.bob, "apply", **form)
    assert status == 200
    assert "Something was changed since this plan was made" in shown
    assert "https://other.example" in page(world, world.bob)


def test_every_fault_is_shown_with_its_line_and_the_text_stays(world: World) -> None:
    wrong = "version: 1\nmonitors: []\ninstances:\n  - colour: <red>\n"
    status, shown = post(world, world.bob, "plan", document=wrong)
    assert status == 200
    for told in ("line 2: monitors is not known", "line 4: instances[0].colour", "<red>"):
        assert told in shown


def test_viewers_of_others_see_nothing_and_scripts_stay_text(world: World) -> None:
    path = f"/dashboard/projects/{world.project}/configuration"
    assert world.charlie.get(path).status_code == 404
    assert post(world, world.charlie, "plan", document="version: 1")[0] == 404
    evil = "version: 1\n# </textarea><script>alert(1)</script>\n"
    answer = world.bob.post(f"{path}/plan", data={"document": evil})
    assert "<script>alert(1)" not in answer.text
