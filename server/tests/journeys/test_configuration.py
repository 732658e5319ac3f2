"""Documents with every area there: there and back, many things at once, and two at one time."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from mainstay_server.areas.configuration.models import ConfigurationClaim
from mainstay_server.installed import AREAS
from mainstay_server.kernel.database import reading
from tests.databases import on_both_stores
from tests.world import Browser, World

DOCUMENT = """\
version: 1
project: inspections
instances:
  - environment: production
    url: https://ships.example
    healthPath: /health
    intervalSeconds: 60
  - environment: staging
x-often: &often
  instance: production
  intervalSeconds: 30
  tags: [edge]
healthChecks:
  - instance: production
    name: health
    followsInstance: true
    failAfter: 3
  - <<: *often
    name: router
    url: https://router.ships.example
  - <<: *often
    name: mail
    kind: tcp
    config:
      host: mail.ships.example
      port: 25
    parent: router
    conditions:
      - "[CONNECTED] == true"
  - instance: staging
    name: mail
    kind: tcp
    config:
      host: mail.staging.ships.example
      port: 25
    parent: production/router
    paused: true
heartbeats:
  - instance: production
    name: Nightly backup
    pingId: ${PING:-kept}
    scheduleKind: cron
    expression: 0 3 * * *
    timeZone: Europe/Berlin
maintenance:
  - name: Patch night
    startsAt: 2026-01-04T02:00
    schedule: 0 2 * * SUN#1
    timeZone: Europe/Berlin
    instances: [production]
    tags: [edge]
    subjects: [production/Nightly backup, production/mail]
statusPages:
  - slug: inspections
    name: Inspections
    groups: [Edge]
    components:
      - {name: Mail, group: Edge, subject: production/mail}
      - {name: Telephone}
objectives:
  - instance: production
    name: Backups run
    source: watched
    subject: production/Nightly backup
    targetPercent: 99.5
alertChannels:
  - name: team
    type: email
    config:
      email: team@ships.example
  - instance: production
    name: chat
    type: slack
    config:
      webhookUrl: ${CHAT:-kept}
    minimumSeverity: critical
  - name: hook
    type: webhook
    config:
      webhookUrl: ${HOOK:-kept}
    signingSecret: ${SIGNING:-kept}
alertRules:
  - type: instance_down
    severity: warning
  - instance: production
    type: high_error_rate
    threshold: 2.5
"""
SECRETS = {
    "CHAT": "https://hooks.slack.com/services/T1/B1/one",
    "HOOK": "https://ships.example/hooks/two",
    "SIGNING": "whsec_" + "A" * 32,
    "PING": "3f2c8e1a-7b5d-4c6e-9f80-123456789abc",
}
EXPORTED = {
    "ALERT_CHANNELS_PRODUCTION_CHAT_CONFIG_WEBHOOK_URL": SECRETS["CHAT"],
    "ALERT_CHANNELS_HOOK_CONFIG_WEBHOOK_URL": SECRETS["HOOK"],
    "ALERT_CHANNELS_HOOK_SIGNING_SECRET": SECRETS["SIGNING"],
    # No two heartbeats of a server have one address.
    "HEARTBEATS_PRODUCTION_NIGHTLY_BACKUP_PING_ID": "4f2c8e1a-7b5d-4c6e-9f80-123456789abc",
}


@pytest.fixture
def world(client_for: Callable[..., World]) -> World:
    return client_for(*AREAS)


def path_of(world: World, by: Browser | None) -> str:
    ours = by in (None, world.alice)
    slug = (world.instance if ours else world.charlies_instance).project_slug
    return f"/api/projects/{slug}/configuration"


def send(
    world: World, verb: str, document: str, by: Browser | None = None, **options: Any
) -> dict[str, Any]:
    asked = {"document": document, **options}
    answer = (by or world.alice).post(f"{path_of(world, by)}/{verb}", json=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def export(world: World, by: Browser | None = None) -> str:
    return (by or world.alice).get(path_of(world, by)).text


@on_both_stores
def test_what_one_server_exports_another_becomes(world: World) -> None:
    done = send(world, "apply", DOCUMENT, variables=SECRETS)
    assert (done["created"], done["changed"]) == (14, 1)
    again = send(world, "apply", DOCUMENT)
    assert (again["changes"], again["unchanged"]) == ([], 15), "kept is what is there"

    exported = export(world)
    for secret in SECRETS.values():
        assert secret not in exported
    schema = world.stranger.get("/api/configuration.schema.json").json()
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(exported))) == []
    assert send(world, "plan", exported)["changes"] == []
    ours = {**EXPORTED, "HEARTBEATS_PRODUCTION_NIGHTLY_BACKUP_PING_ID": SECRETS["PING"]}
    assert send(world, "plan", exported, variables=ours)["changes"] == []

    # Charlie's project is as empty as one of another server.
    theirs = exported.replace("inspections", "spying")
    made = send(world, "apply", theirs, by=world.charlie, variables=EXPORTED)
    assert (made["created"], made["changed"]) == (14, 1)
    assert export(world, by=world.charlie) == theirs
    assert send(world, "apply", theirs, by=world.charlie)["changes"] == []


RESPONDING = """\
version: 1
project: inspections
runbooks:
  - name: restart
    body: "# Restart it"
emailTemplates:
  - name: order_paid
    subject: Order {{ number }} is paid
    html: <p>Thank you, {{ name }}.</p>
    example: {number: 7, name: Ada}
remediationActions:
  - name: restart-shop
    kind: webhook
    url: ${DEPLOYER:-kept}
    matchers: alertname="instance_down"
    dryRun: true
onCallSchedules:
  - name: Primary
    timeZone: Europe/Berlin
    layers:
      - {name: Turns, people: [PERSON], startsAt: 2026-01-05T09:00}
escalationPolicies:
  - name: Wake somebody
    steps:
      - {kind: action, to: restart-shop, waitMinutes: 2}
      - {kind: schedule, to: Primary}
incidentSettings:
  - opensFrom: warning
    joinMinutes: 15
"""


def test_what_responds_goes_there_and_back_and_only_admins_allow_remedies(world: World) -> None:
    person = world.alice.get("/api/me").json()["email"]
    document = RESPONDING.replace("PERSON", person)
    told = {"DEPLOYER": "https://deployer.example/restart/hush"}
    asked = {"document": document, "variables": told}
    refused = world.bob.post(f"{path_of(world, None)}/apply", json=asked)
    assert (refused.status_code, "for admins" in refused.json()["detail"]) == (403, True)

    done = send(world, "apply", document, variables=told)
    assert done["created"] == 6
    assert send(world, "plan", document)["changes"] == []
    exported = export(world)
    assert "hush" not in exported
    assert "whsec_" not in exported
    assert send(world, "plan", exported)["changes"] == []
    page = world.alice.get(f"/dashboard/projects/{world.project}/configuration")
    assert page.status_code == 200

    # Bob may apply what leaves them as they are, and Charlie's project becomes the same.
    same = world.bob.post(f"{path_of(world, None)}/apply", json={"document": exported})
    assert same.json()["changes"] == []
    theirs = exported.replace("inspections", "spying").replace(
        person, world.charlie.get("/api/me").json()["email"]
    )
    secrets = {
        "REMEDIATION_ACTIONS_RESTART_SHOP_URL": "https://spies.example/restart",
        "REMEDIATION_ACTIONS_RESTART_SHOP_SIGNING_SECRET": "whsec_" + "A" * 32,
    }
    assert send(world, "apply", theirs, by=world.charlie, variables=secrets)["created"] == 6
    assert export(world, by=world.charlie) == theirs

    less = exported[: exported.index("\nrunbooks:")]
    gone = send(world, "apply", less, prune=True)
    assert gone["removed"] == 6
    assert "incidentSettings" not in export(world)


def test_a_plan_shows_a_variable_by_its_name_wherever_it_stands(world: World) -> None:
    document = (
        "version: 1\nalertChannels:\n  - name: hook\n    type: webhook\n"
        "    config: {webhookUrl: '${HOOK}'}\n"
        "healthChecks:\n  - {instance: production, name: shop, url: 'https://s.example/${WORD}'}\n"
    )
    told = {"HOOK": "https://hooks.example/hush", "WORD": "hush"}
    plan = send(world, "plan", document, variables=told)
    assert "hush" not in str(plan)
    shown = {each["field"]: each["after"] for one in plan["changes"] for each in one["fields"]}
    assert shown["config.webhookUrl"] == "${HOOK}"
    assert shown["url"] == "https://s.example/${WORD}"


def test_a_kept_secret_is_refused_where_there_is_none(world: World) -> None:
    path = f"/api/projects/{world.project}/configuration/plan"
    refused = world.alice.post(path, json={"document": DOCUMENT}).json()
    faults = {one["field"]: one["message"] for one in refused["errors"]}
    assert set(faults) == {
        "alertChannels[1].config.webhookUrl",
        "alertChannels[2].config.webhookUrl",
    }
    assert "set the variable of ${CHAT:-kept}" in faults["alertChannels[1].config.webhookUrl"]


def test_a_project_s_changes_by_hand_show_in_a_plan_and_go_with_an_apply(world: World) -> None:
    send(world, "apply", DOCUMENT, variables=SECRETS)
    world.bob.patch(f"/api/instances/{world.instance.id}", json={"intervalSeconds": 600})
    plan = send(world, "plan", DOCUMENT)
    (change,) = plan["changes"]
    assert change["fields"] == [{"field": "intervalSeconds", "before": 600, "after": 60}]
    send(world, "apply", DOCUMENT, fingerprint=plan["fingerprint"])
    assert send(world, "plan", DOCUMENT)["changes"] == []


def test_two_thousand_checks_are_one_document(world: World) -> None:
    many = "".join(
        f"  - instance: production\n    name: check {number}\n"
        f"    url: https://host-{number}.ships.example/health\n    tags: [fleet]\n"
        for number in range(2_000)
    )
    document = "version: 1\nhealthChecks:\n" + many
    assert send(world, "apply", document)["created"] == 2_000
    assert send(world, "apply", document)["unchanged"] == 2_000
    fewer = document[: document.index("  - instance: production\n    name: check 1990\n")]
    assert send(world, "apply", fewer, prune=True)["removed"] == 10


@on_both_stores
def test_two_who_apply_at_once_wait_for_each_other(world: World) -> None:
    answers: list[int] = []

    def apply(number: int) -> None:
        checks = "".join(
            f"  - {{instance: production, name: c{each}, url: 'https://{number}.example'}}\n"
            for each in range(20)
        )
        answer = world.alice.post(
            f"/api/projects/{world.project}/configuration/apply",
            json={"document": "version: 1\nhealthChecks:\n" + checks},
        )
        answers.append(answer.status_code)

    threads = [threading.Thread(target=apply, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    held = yaml.safe_load(export(world))["healthChecks"]
    assert len(held) == 20
    assert len({one["url"] for one in held}) == 1, "all of one document, none of another"
    with reading() as session:
        assert session.query(ConfigurationClaim).count() == 20


def test_every_list_of_a_document_is_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs/areas/configuration.md").read_text()
    names = [kind.name for area in AREAS for kind in area.configured]
    assert [name for name in names if f"| `{name}` |" not in page] == []
