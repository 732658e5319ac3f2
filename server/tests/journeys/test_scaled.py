"""The same journeys on PostgreSQL, a ClickHouse server, Redis and S3: four URLs and a secret."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.journeys.conftest import Stores
from tests.journeys.running import running_mainstay
from tests.journeys.test_errors import (
    sdk,  # noqa: F401 - the fixture of the journeys below
    test_a_division_by_zero_is_on_the_issues_page_within_two_seconds,  # noqa: F401 - run here too
    test_a_resolved_issue_that_happens_again_is_back,  # noqa: F401 - run here too
    test_a_second_key_sends_to_the_same_project_and_a_disabled_one_to_none,  # noqa: F401 - here too
    test_a_thousand_events_of_twenty_kinds_become_twenty_issues_with_exact_counts,  # noqa: F401 - same
)
from tests.journeys.test_health import (
    test_an_outage_is_noticed_within_an_interval_and_told_once_each_way,  # noqa: F401 - here too
)
from tests.journeys.test_requests import (
    test_percentiles_are_those_of_numpy_on_the_same_requests,  # noqa: F401 - run here too
    test_what_a_framework_serves_is_counted_under_its_route,  # noqa: F401 - run here too
)
from tests.servers.clickhouse import clickhouse_server
from tests.servers.postgres import running_postgres
from tests.servers.redis import running_redis
from tests.servers.s3 import running_s3

pytestmark = pytest.mark.slow

SECRET_KEY = "a secret of the tests that is long enough"


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Makes the settings of four empty stores, each on a server of its own."""
    with (
        running_postgres() as postgres,
        clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as clickhouse,
        running_redis() as redis,
        running_s3() as s3,
    ):

        def make() -> Mapping[str, str]:
            return {
                "MAINSTAY_DATABASE_URL": postgres.url_of(postgres.new_database()),
                "MAINSTAY_COLUMNS_URL": clickhouse.new_database(),
                "MAINSTAY_SHARED_URL": redis.url,
                "MAINSTAY_BLOBS_URL": s3.new_bucket(),
                "MAINSTAY_SECRET_KEY": SECRET_KEY,
                # The apps and receivers of the tests are on this machine.
                "MAINSTAY_OUTBOUND_ALLOW_PRIVATE": "true",
            }

        yield make


def test_nothing_is_kept_in_the_data_dir_when_four_urls_say_otherwise(
    stores: Callable[[], Mapping[str, str]], tmp_path: Path
) -> None:
    with running_mainstay(stores(), data_dir=tmp_path) as mainstay:
        assert mainstay.get("/healthz")["status"] in ("healthy", "degraded")
        assert mainstay.call("POST", "/api/projects", json={"name": "Billing"}).status_code == 201
        assert mainstay.stop() == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_restart_finds_what_the_servers_keep(stores: Stores) -> None:
    with running_mainstay(stores()) as mainstay:
        before = mainstay.project
        mainstay.kill()
        mainstay.start()
        assert mainstay.project == before


def test_a_wrong_column_url_stops_the_start_and_names_the_setting(stores: Stores) -> None:
    wrong = {**stores(), "MAINSTAY_COLUMNS_URL": "mysql://nowhere/x"}
    with (
        pytest.raises(RuntimeError, match="MAINSTAY_COLUMNS_URL"),
        running_mainstay(wrong),
    ):
        pass
