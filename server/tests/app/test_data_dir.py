"""The data folder: whatever its age, other users of the machine read nothing in it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from mainstay_server.app.data_dir import make_private, open_data_dir
from mainstay_server.kernel.settings import (
    ServerSettings,
    UnsafeSetting,
    forget_settings,
    override_settings,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(folder: Path) -> Path:
    settings = ServerSettings(data_dir=folder)
    override_settings(settings)
    open_data_dir(settings)
    return folder


@pytest.fixture(autouse=True)
def settings_of_one_test() -> Iterator[None]:
    yield
    forget_settings()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder as an older version left it."""
    folder = tmp_path / "data"
    (folder / "columns").mkdir(parents=True)
    (folder / "secret_key").write_text("k" * 64)
    (folder / "mainstay.db").touch()
    for path in (folder, folder / "columns"):
        path.chmod(0o755)
    for path in (folder / "secret_key", folder / "mainstay.db"):
        path.chmod(0o644)
    return folder


def test_an_old_folder_becomes_its_owners_alone(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(old)

    assert mode(old) == mode(old / "columns") == 0o700
    assert mode(old / "secret_key") == mode(old / "mainstay.db") == 0o600
    assert str(old / "secret_key") in caplog.text
    caplog.clear()
    opened(old)
    assert caplog.text == ""


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    folder = opened(tmp_path / "deep" / "data")

    assert (mode(folder), mode(folder / "secret_key")) == (0o700, 0o600)


def test_what_is_not_ours_by_name_is_left_alone(old: Path) -> None:
    (old / "notes.txt").touch(mode=0o644)
    (old / "notes.txt").chmod(0o644)

    opened(old)

    assert mode(old / "notes.txt") == 0o644


def test_a_folder_that_many_share_stays_shared(old: Path) -> None:
    old.chmod(0o1777)

    opened(old)

    assert mode(old) == 0o1777
    assert mode(old / "secret_key") == 0o600


def test_a_link_leads_to_no_change(old: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "elsewhere").chmod(0o755)
    (old / "blobs").symlink_to(tmp_path / "elsewhere")

    make_private(old)

    assert mode(tmp_path / "elsewhere") == 0o755


def test_a_folder_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnsafeSetting, match=r"MAINSTAY_DATA_DIR: .* cannot be made"):
        opened(tmp_path / "file")
