"""`mainstay keys` as people and scripts use it: the real program against a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.running import PROJECT, TOKEN, Mainstay, running_mainstay

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "mainstay"
PATIENCE_SECONDS = 120
KEY = re.compile(r"mst_production_api_[0-9A-Za-z]{38}")


@pytest.fixture(scope="module")
def server() -> Iterator[Mainstay]:
    with running_mainstay() as started:
        yield started


def keys(server: Mainstay, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mainstay keys …` about the project, with nobody at the keyboard."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAINSTAY_", "_MAINSTAY"))}
    told = {"MAINSTAY_URL": server.url, "MAINSTAY_TOKEN": TOKEN}
    return subprocess.run(
        [PROGRAM, "keys", *arguments, "--project", PROJECT],
        env={**clean, **told, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def made(server: Mainstay, name: str, *options: str) -> dict[str, str]:
    ended = keys(server, "create", name, *options, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def test_a_script_gets_the_key_alone_and_a_person_what_to_do_with_it(server: Mainstay) -> None:
    options = ("--scope", "insight:read", "--scope", "insight:write", "--owner", "acme")
    ended = keys(server, "create", "billing service", *options, "--network", "203.0.113.7")

    assert ended.returncode == 0, ended.stderr
    assert KEY.fullmatch(ended.stdout.strip())
    assert "not shown again" in ended.stderr
    assert KEY.search(ended.stderr) is None
    listed = keys(server, "list", "--search", "billing")
    assert KEY.search(listed.stdout) is None
    for told in ("billing service", ended.stdout.strip()[-4:], "active", "acme", "insight:write"):
        assert told in listed.stdout
    (key,) = json.loads(keys(server, "list", "--search", "billing", "--json").stdout)["apiKeys"]
    assert key["networks"] == ["203.0.113.7/32"]
    assert key["endsAt"] is not None


def test_a_key_without_an_end_is_said_to_work_for_good(server: Mainstay) -> None:
    assert "works for good." in keys(server, "create", "printer", "--days", "0").stderr


def test_a_key_is_rotated_by_its_name(server: Mainstay) -> None:
    old = made(server, "to rotate", "--days", "0")
    assert old["endsAt"] is None

    ended = keys(server, "rotate", "to rotate", "--grace-hours", "2")

    assert ended.returncode == 0, ended.stderr
    assert KEY.fullmatch(ended.stdout.strip())
    assert f"The old key …{old['lastFour']} ends at" in ended.stderr
    several = keys(server, "rotate", "to rotate")
    assert several.returncode == 2
    assert "2 keys are called 'to rotate'; give the id of one" in several.stderr
    again = keys(server, "rotate", old["id"])
    assert again.returncode == 2
    assert "being replaced already" in again.stderr


def test_a_key_is_revoked_only_when_it_is_meant(server: Mainstay) -> None:
    key = made(server, "to revoke")

    unsure = keys(server, "revoke", "to revoke")
    assert unsure.returncode == 2
    assert "Add --yes" in unsure.stderr
    ended = keys(server, "revoke", key["lastFour"], "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "opens nothing any more" in ended.stdout
    listed = json.loads(keys(server, "list", "--status", "revoked", "--json").stdout)
    assert [found["id"] for found in listed["apiKeys"]] == [key["id"]]
    gone = keys(server, "revoke", "to revoke", "--yes")
    assert gone.returncode == 2
    assert "No key that works is called" in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "x", "--scope", "everything"], "scopes has 'everything'"),
        (["create", "x", "--environment", "moon"], "has no environment 'moon'"),
        (["list", "--status", "fine"], "status"),
        (["rotate", "nobody"], "No key that works is called 'nobody'"),
    ],
)
def test_what_is_refused_is_2_and_a_sentence(
    server: Mainstay, arguments: list[str], sentence: str
) -> None:
    ended = keys(server, *arguments)

    assert ended.returncode == 2, ended.stdout
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_token_that_nobody_knows_is_named_and_not_the_sign_in_page(server: Mainstay) -> None:
    ended = keys(server, "list", "--token", "mst_of_last_year")

    assert ended.returncode == 2
    assert f"{server.url} does not know this access token" in ended.stderr
    assert "set MAINSTAY_TOKEN" in ended.stderr
    assert "/login" not in ended.stderr


def test_the_verb_explains_itself(server: Mainstay) -> None:
    clean = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100", "PATH": os.environ["PATH"]}
    for words in (["keys"], ["keys", "create"], ["keys", "rotate"], ["keys", "revoke"]):
        told = subprocess.run(
            [PROGRAM, *words, "--help"],
            env=clean,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert f"mainstay {' '.join(words)}" in told.stdout
