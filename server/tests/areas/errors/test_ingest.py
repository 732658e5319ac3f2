"""The way in, from an unmodified SDK to rows and issues."""

import sentry_sdk
from mainstay_server.kernel import columns

from .conftest import Listening, issues


def test_what_an_unmodified_sdk_sends_becomes_an_issue_with_its_event(listening: Listening) -> None:
    with sentry_sdk.isolation_scope() as scope:
        client = sentry_sdk.Client(dsn=listening.dsn, release="shop@1.2", environment="production")
        scope.set_client(client)
        try:
            1 / 0
        except ZeroDivisionError:
            sentry_sdk.capture_exception()
        client.flush()
        client.close()

    (issue,) = issues()
    assert issue.title == "ZeroDivisionError: division by zero"
    assert issue.count == 1
    (row,) = columns.query("SELECT issue_id, release, payload FROM error_events")
    assert row["issue_id"] == issue.id
    assert row["release"] == "shop@1.2"
    assert '"ZeroDivisionError"' in row["payload"]
