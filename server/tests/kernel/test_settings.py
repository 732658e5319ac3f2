"""Settings: from the environment or files, refused when unsafe, in words that help."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mainstay_server.kernel import settings
from mainstay_server.kernel.retention import RetentionSettings
from mainstay_server.kernel.settings import ServerSettings, UnsafeSetting, load_settings, of


@pytest.fixture(autouse=True)
def read_anew() -> None:
    settings.forget_settings()


def test_a_value_may_be_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x" * 40 + "\n")
    monkeypatch.setenv("MAINSTAY_SECRET_KEY_FILE", str(tmp_path / "secret"))
    assert of(ServerSettings).secret_key.get_secret_value() == "x" * 40


def test_a_value_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("x" * 40)
    monkeypatch.setenv("MAINSTAY_SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("MAINSTAY_SECRET_KEY", "y" * 40)
    with pytest.raises(UnsafeSetting, match="MAINSTAY_SECRET_KEY_FILE are both set"):
        load_settings([ServerSettings])


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_PORT_FILE", "/nowhere/port")
    with pytest.raises(UnsafeSetting, match="MAINSTAY_PORT_FILE cannot be read"):
        load_settings([ServerSettings])


def test_the_cron_secret_has_its_documents_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRON_SECRET", "tick")
    assert of(ServerSettings).cron_secret.get_secret_value() == "tick"


def test_an_external_database_needs_a_given_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_DATABASE_URL", "postgresql+psycopg://db/mainstay")
    with pytest.raises(UnsafeSetting, match=r"MAINSTAY_SECRET_KEY is missing.*openssl rand"):
        load_settings([ServerSettings])


def test_an_owners_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_BOOTSTRAP_TOKEN", "x" * 19)
    with pytest.raises(UnsafeSetting, match=r"MAINSTAY_BOOTSTRAP_TOKEN is shorter than 20.*rand"):
        load_settings([ServerSettings])
    monkeypatch.setenv("MAINSTAY_BOOTSTRAP_TOKEN", "x" * 20)
    assert of(ServerSettings).bootstrap_token.get_secret_value() == "x" * 20


def test_a_bad_number_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_PORT", "eighty")
    with pytest.raises(UnsafeSetting, match=r"^MAINSTAY_PORT: "):
        load_settings([ServerSettings])


def test_what_the_command_line_gives_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_PORT", "9000")
    load_settings([ServerSettings], port=9100)
    assert of(ServerSettings).port == 9100


def test_retention_is_settable_per_table_and_never_nonsense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAINSTAY_RETENTION_DAYS", '{"request_metrics": 7}')
    assert of(RetentionSettings).days == {"request_metrics": 7}

    settings.forget_settings()
    monkeypatch.setenv("MAINSTAY_RETENTION_DAYS", '{"request_metrics": 0}')
    with pytest.raises(UnsafeSetting, match="request_metrics must keep between"):
        load_settings([RetentionSettings])


def test_a_key_that_a_full_disk_cut_off_is_refused_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path))
    (tmp_path / "secret_key").touch()

    with pytest.raises(UnsafeSetting, match="holds no whole key; delete it"):
        settings.secret_key()


def test_all_who_start_at_once_read_one_whole_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "data"))
    of(ServerSettings)

    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: settings.secret_key(), range(64)))

    assert len(keys) == 1
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret_key"]
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAINSTAY_DATA_DIR", str(tmp_path / "data"))
    made = settings.secret_key()
    settings.forget_settings()
    assert settings.secret_key() == made
    assert stat.S_IMODE((tmp_path / "data" / "secret_key").stat().st_mode) == 0o600
