"""Pages that come in by the API, as people make them."""

from typing import Any

from tests.world import Browser, World


def made_page(world: World, who: Browser | None = None, **changes: Any) -> dict[str, Any]:
    """A published page of Alice's organization, with these settings."""
    who = who or world.alice
    answer = who.post("/api/status-pages", json={"name": "Acme", "slug": "acme"})
    assert answer.status_code == 201, answer.text
    page: dict[str, Any] = answer.json()
    answer = who.patch(f"/api/status-pages/{page['id']}", json={"published": True, **changes})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def made_component(world: World, page: dict[str, Any], name: str = "API") -> dict[str, Any]:
    answer = world.alice.post(f"/api/status-pages/{page['id']}/components", json={"name": name})
    assert answer.status_code == 201, answer.text
    component: dict[str, Any] = answer.json()
    return component


def made_report(world: World, page: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    body = {"title": "Slow answers", "body": "We are **looking**.", **wanted}
    answer = world.alice.post(f"/api/status-pages/{page['id']}/reports", json=body)
    assert answer.status_code == 201, answer.text
    report: dict[str, Any] = answer.json()
    return report
