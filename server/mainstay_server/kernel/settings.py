"""Settings: read from the environment once at start; an unsafe one refuses to start."""

import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

SECRET_KEY_BYTES = 32
SHORTEST_TOKEN = 20


class UnsafeSetting(Exception):
    """A setting that cannot be read or would be unsafe: which, why, and what to do."""


class _FileSource(PydanticBaseSettingsSource):
    """Reads `MAINSTAY_X_FILE`: the value of `MAINSTAY_X` kept in a file, as secrets mounts do."""

    @override
    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        for name in environment_names(self.settings_cls, field_name, field):
            path = os.environ.get(f"{name}_FILE")
            if path is None:
                continue
            if name in os.environ:
                raise UnsafeSetting(f"{name} and {name}_FILE are both set; keep one of them.")
            try:
                return Path(path).read_text(encoding="utf-8").strip(), field_name, False
            except (OSError, UnicodeDecodeError) as error:
                raise UnsafeSetting(f"{name}_FILE cannot be read: {error}") from error
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        read = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in read.items() if value is not None}


class Settings(BaseSettings):
    """The base of every area's settings: `MAINSTAY_` in front, `_FILE` behind, frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix="MAINSTAY_", extra="ignore", frozen=True, populate_by_name=True
    )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values given in code first, then the environment, then files that it names."""
        return init_settings, env_settings, _FileSource(settings_cls)


def environment_names(
    settings_class: type[BaseSettings], name: str, field: FieldInfo
) -> tuple[str, ...]:
    """The environment variables that set a field, the preferred one first."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices if str(choice) != name)
    if isinstance(alias, str):
        return (alias,)
    return (f"{settings_class.model_config.get('env_prefix', '')}{name}".upper(),)


class ServerSettings(Settings):
    """What the process itself needs to know."""

    data_dir: Path = Field(Path("data"), description="Where the embedded stores live.")
    database_url: str = Field("", description="Relational store; default SQLite in the data dir.")
    columns_url: str = Field("", description="Column store; default chDB in the data dir.")
    blobs_url: str = Field("", description="Object store; default a folder in the data dir.")
    shared_url: str = Field("memory://", description="Counters between processes; `redis://…`.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    base_url: str = Field("", description="Where people reach the server; default the address.")
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses or networks whose X-Forwarded-For and -Proto are believed.",
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs cookies and links; made and kept in the data dir."
    )
    outbound_allow_private: bool | None = Field(
        None, description="Let health checks and webhooks reach private addresses."
    )
    outbound_ca: str = Field(
        "", description="PEM text of further authorities to trust; mostly given as a file."
    )
    cron_secret: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("cron_secret", "MAINSTAY_CRON_SECRET", "CRON_SECRET"),
        description="Opens /api/cron; without it the path answers 401.",
    )
    bootstrap_email: str = Field("", description="First start: the owner's address.")
    bootstrap_password: SecretStr = Field(SecretStr(""), description="First start: the password.")
    bootstrap_token: SecretStr = Field(
        SecretStr(""), description="First start: an access token of 20 or more characters."
    )
    bootstrap_project: str = Field("", description="First start: the first project's slug.")
    lease_seconds: float = Field(
        60, ge=1, le=3600, description="After this long without a heartbeat, work is taken over."
    )
    waiting_room_mib: int = Field(
        64, ge=1, le=4096, description="Unstored bytes held in memory before answering 429."
    )

    max_connections: int = Field(
        0,
        ge=0,
        description="Connections at once; 0 takes what the open files allow, 20,000 at most.",
    )

    @property
    def public_url(self) -> str:
        """Where people reach this server, without a slash at its end."""
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def embedded(self) -> bool:
        """Whether the relational store is the one in the data dir."""
        return not self.database_url or self.database_url.startswith("sqlite")

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        secret = self.secret_key.get_secret_value()
        if secret and len(secret) < SECRET_KEY_BYTES:
            raise ValueError("MAINSTAY_SECRET_KEY is shorter than 32 characters; make a longer one")
        if not self.embedded and not secret:
            raise ValueError(
                "MAINSTAY_SECRET_KEY is missing; with an external database every process must be"
                " given the same one, for example from: openssl rand -hex 32"
            )
        token = self.bootstrap_token.get_secret_value()
        if token and len(token) < SHORTEST_TOKEN:
            raise ValueError(
                f"MAINSTAY_BOOTSTRAP_TOKEN is shorter than {SHORTEST_TOKEN} characters, and whoever"
                " guesses it owns everything; make a longer one, for example with openssl rand"
                " -hex 32"
            )
        if bool(self.bootstrap_email) != bool(self.bootstrap_password.get_secret_value()):
            raise ValueError(
                "MAINSTAY_BOOTSTRAP_EMAIL and MAINSTAY_BOOTSTRAP_PASSWORD belong together;"
                " give both or neither"
            )
        return self


Kind = TypeVar("Kind", bound=Settings)
_read: dict[type[Settings], Settings] = {}


def load_settings(classes: Iterable[type[Settings]], **given: object) -> None:
    """Read every class of settings now, so that a bad one stops the start and not a request.

    `given` values (from the command line) win over the environment.

    Raises:
        UnsafeSetting: with every fault of the first class that has one.
    """
    for settings_class in classes:
        known = {
            name: value for name, value in given.items() if name in settings_class.model_fields
        }
        try:
            _read[settings_class] = settings_class(**cast("dict[str, Any]", known))
        except ValidationError as error:
            raise UnsafeSetting(_in_words(settings_class, error)) from error


def of(settings_class: type[Kind]) -> Kind:
    """The settings of one class, as they were read at start."""
    if settings_class not in _read:
        load_settings([settings_class])
    return cast("Kind", _read[settings_class])


def override_settings(value: Settings) -> None:
    """Replace the settings of one class; for tests."""
    _read[type(value)] = value


def forget_settings() -> None:
    """Forget all that was read; the next use reads again."""
    _read.clear()


def secret_key() -> bytes:
    """The key that signs cookies and links: given, or made once and kept in the data dir.

    Raises:
        UnsafeSetting: the file holds less than a key.
    """
    server = of(ServerSettings)
    given = server.secret_key.get_secret_value()
    if given:
        return given.encode()
    path = server.data_dir / "secret_key"
    if not path.exists():
        _make_secret_key(path)
    key = path.read_bytes()
    if len(key.strip()) < SECRET_KEY_BYTES:
        raise UnsafeSetting(
            f"{path} holds no whole key; delete it for a new one, which signs everybody out"
        )
    return key


def _make_secret_key(path: Path) -> None:
    """Put a new key in its place in one step: nobody ever sees a part of it, or no key at all.

    An empty key would be one that everybody knows. Of two processes that start at once, one links
    its file, and both read that.
    """
    path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(SECRET_KEY_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(unfinished)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _in_words(settings_class: type[Settings], error: ValidationError) -> str:
    sentences = []
    for fault in error.errors(include_url=False, include_input=False):
        message = str(fault["msg"]).removeprefix("Value error, ")
        where = [str(part) for part in fault["loc"]]
        field = settings_class.model_fields.get(where[0]) if where else None
        name = environment_names(settings_class, where[0], field)[0] if field else ""
        sentences.append(f"{name}: {message}" if name else message)
    return "; ".join(sentences)
