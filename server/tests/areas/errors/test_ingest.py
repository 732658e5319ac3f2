"""The way in, from an unmodified SDK to rows and issues."""

import subprocess
import sys

from mainstay_server.kernel import columns

from .conftest import Listening, issues

APP = """
import sentry_sdk, sys

sentry_sdk.init(dsn=sys.argv[1], release="shop@1.2", environment="production")

def divide(number):
    return number / 0

divide(1)
"""


def test_what_an_unmodified_sdk_sends_becomes_an_issue_with_its_event(listening: Listening) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", APP, listening.dsn], check=False, capture_output=True, text=True
    )
    assert "ZeroDivisionError" in ended.stderr

    (issue,) = issues()
    assert issue.title == "ZeroDivisionError: division by zero"
    assert issue.count == 1
    (row,) = columns.query("SELECT issue_id, release, payload FROM error_events")
    assert row["issue_id"] == issue.id
    assert row["release"] == "shop@1.2"
    assert '"ZeroDivisionError"' in row["payload"]
