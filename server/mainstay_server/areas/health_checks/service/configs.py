"""What checks are told: read for their kind, kept with secrets sealed, shown without them."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr, ValidationError

from mainstay_server.areas.health_checks.models import HealthCheck
from mainstay_server.areas.health_checks.providers import PROVIDERS
from mainstay_server.areas.health_checks.schemas.orders import ProbeOrder, ProviderConfig
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.sealing import MARK, seal, unseal

PURPOSE = "health_checks.config"

# A check, or a row of its columns where many are claimed at once.
Asked = HealthCheck | sa.Row[Any]


def read_config(kind: str, given: object, *, url: str | None = None) -> ProviderConfig:
    """A config as its kind understands it; raises `Invalid`, which names the members at fault."""
    provider = PROVIDERS.get(kind)
    if provider is None:
        raise Invalid(f"There is no kind {kind!r}; kinds are {', '.join(sorted(PROVIDERS))}.")
    if isinstance(given, ProviderConfig):
        given = given.model_dump(exclude_unset=True)
    assert isinstance(given, Mapping), "shapes of the API see to that"
    members = dict(given) if url is None else {**given, "url": url}
    try:
        return provider.Config.model_validate(members)
    except ValidationError as error:
        faults = [
            {"field": ".".join(("config", *map(str, one["loc"]))), "message": one["msg"]}
            for one in error.errors(include_input=False, include_url=False)
        ]
        first = faults[0]
        raise Invalid(f"{first['field']}: {first['message']}.", errors=faults) from None


def kept(config: ProviderConfig) -> dict[str, Any]:
    """A config as it lies in the database: every secret sealed, an http URL in its own column."""
    found: dict[str, Any] = _sealed(config.model_dump(exclude_unset=True))
    if isinstance(config, PROVIDERS["http"].Config):
        found.pop("url", None)
    return found


def opened(check: Asked) -> dict[str, Any]:
    """The config of a check with its secrets open and its URL in it: for providers alone."""
    found: dict[str, Any] = _opened(check.config)
    return found | {"url": check.url} if check.url else found


def config_of(check: Asked) -> ProviderConfig:
    """The config of a check as its kind reads it."""
    return PROVIDERS[check.kind].Config.model_validate(opened(check))


def shown(config: ProviderConfig) -> dict[str, Any]:
    """A config for any eye: as the API takes it, without its secrets."""
    found: dict[str, Any] = _shown(config.model_dump(by_alias=True))
    return found


def secrets_of(config: ProviderConfig) -> list[str]:
    """The paths of the secrets that are set, as `password` or `headers.authorization`."""
    return sorted(".".join(map(str, place)) for place in secret_places(config))


def secret_places(config: ProviderConfig) -> list[tuple[str | int, ...]]:
    """Where the secrets lie that are set, by the names of the API, one step after the other."""
    return list(_places(config.model_dump(by_alias=True), ()))


def told(config: ProviderConfig) -> dict[str, Any]:
    """A config with its secrets open, without what is the default: for a document."""
    found: dict[str, Any] = _told(config.model_dump(by_alias=True, exclude_defaults=True))
    return found


def secret_values(order: ProbeOrder) -> list[str]:
    """What of an order nobody may see, wherever it comes back."""
    config = PROVIDERS[order.kind].Config.model_validate(order.config)
    return [each for each in _secret_texts(config.model_dump()) if each]


def changed_config(
    check: HealthCheck,
    given: Mapping[str, Any] | None,
    *,
    url: str | None = None,
    keep_secrets: bool = True,
) -> dict[str, Any] | None:
    """A check's next config as it is kept, or None when it stays as it is.

    Secrets that `given` leaves out stay, null takes one away; without `given` all stays but the
    URL. A kept secret goes only where it was meant for: when the target changes, it has to be
    given anew. Without `keep_secrets` what is given is the whole of it. Raises `Invalid`.
    """
    before = config_of(check)
    members = before.model_dump(by_alias=True, exclude_unset=True)
    url = url if url is not None else (check.url or None)
    spoken_of = _shown(members) if given is None else given
    given_whole = _filled(spoken_of, members) if keep_secrets else spoken_of
    whole = read_config(check.kind, given_whole, url=url)
    left_out = {path for path in secrets_of(whole) if not _is_spoken_of(path, spoken_of)}
    target = PROVIDERS[check.kind].target_of
    if left_out and target(before) != target(whole):
        raise Invalid(
            f"Give {', '.join(sorted(left_out))} again: the target changes, and a secret that is"
            " kept goes only where it was meant for."
        )
    return None if whole.model_dump() == before.model_dump() else kept(whole)


def target_of(check: HealthCheck) -> str:
    """Where a check asks, fit for any eye; empty while it has no URL."""
    if check.kind == "http" and not check.url:
        return ""
    return PROVIDERS[check.kind].target_of(config_of(check))


def host_of(check: Asked) -> str:
    """The host whose load the check is."""
    return PROVIDERS[check.kind].host_of(config_of(check))


def _sealed(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, SecretStr):
        return seal(value.get_secret_value(), purpose=PURPOSE)
    if isinstance(value, Mapping):
        return {name: _sealed(each) for name, each in value.items()}
    return [_sealed(each) for each in value] if isinstance(value, list | tuple) else value


def _opened(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return unseal(value, purpose=PURPOSE) if value.startswith(MARK) else value
    if isinstance(value, Mapping):
        return {name: _opened(each) for name, each in value.items()}
    return [_opened(each) for each in value] if isinstance(value, list) else value


def _shown(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, Mapping):
        return {
            name: _shown(each) for name, each in value.items() if not isinstance(each, SecretStr)
        }
    if isinstance(value, list | tuple):
        return [_shown(each) for each in value if not isinstance(each, SecretStr)]
    return value


def _places(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, SecretStr):
        yield path
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _places(each, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _places(each, (*path, number))


def _told(value: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {str(name): _told(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def _secret_texts(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _secret_texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secret_texts(each)


def _filled(given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, with the secrets of before that it does not speak of."""
    filled = dict(given)
    for name, each in before.items():
        if name not in given and isinstance(each, SecretStr):
            filled[name] = each
        elif isinstance(each, Mapping) and isinstance(given.get(name, {}), Mapping):
            kept_below = _filled(given.get(name, {}), each)
            if kept_below or name in given:
                filled[name] = kept_below
    return filled


def _is_spoken_of(path: str, given: object) -> bool:
    """Whether what was given has something at the path of a secret."""
    for part in path.split("."):
        if isinstance(given, list | tuple):
            given = given[int(part)] if int(part) < len(given) else None
        elif isinstance(given, Mapping):
            given = given.get(part)
    return given is not None
