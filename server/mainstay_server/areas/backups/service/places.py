"""Where destinations are: URLs checked when they are given, and again whenever they are used."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from mainstay_server.areas.backups.models import BackupDestination, DestinationKind
from mainstay_server.areas.backups.settings import allowed_path
from mainstay_server.kernel.blobs import checked
from mainstay_server.kernel.copies.destinations import DestinationFailed
from mainstay_server.kernel.outbound import (
    OutboundError,
    check_host_blocking,
    refuse_forbidden_host,
)
from mainstay_server.kernel.problems import Invalid, Problem
from mainstay_server.kernel.settings import ServerSettings, of

OPTIONS = {"endpoint", "region", "access_key_id", "secret_access_key"}
NEEDED = ("access_key_id", "secret_access_key")
DEFAULT_REGION = "us-east-1"
LONGEST_URL = 2000
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[a-z0-9-]{1,40}")
FOLDER = "backups"


@dataclass(frozen=True)
class Place:
    """A destination as it is kept: its kind, its URL with keys, and what any eye may see."""

    kind: DestinationKind
    url: str = field(repr=False)
    shown: str

    @property
    def where(self) -> str:
        """The bucket or folder alone: what may not change while copies lie there."""
        parts = urlsplit(self.url)
        return f"{self.kind}:{parts.netloc}{parts.path.rstrip('/')}"


def checked_place(kind: DestinationKind, url: str) -> Place:
    """The place of a URL as somebody gives it; of the kind `server` there is none.

    `file:///folder` must lie in a folder that the operator named. `s3://bucket/prefix?…` carries
    `access_key_id` and `secret_access_key`, and may name an `endpoint` and a `region`.

    Raises:
        Invalid: with the next step.
    """
    if len(url) > LONGEST_URL:
        raise Invalid(f"The url is longer than {LONGEST_URL} characters; shorten it.")
    if kind is DestinationKind.SERVER:
        return Place(kind, "", "this server")
    parts = urlsplit(url)
    if kind is DestinationKind.FOLDER:
        if parts.scheme != "file" or parts.netloc:
            raise Invalid("The url must be file:///folder.")
        path = allowed_path(unquote(parts.path))
        return Place(kind, f"file://{quote(str(path))}", str(path))
    return _bucket(url)


def url_of(destination: BackupDestination) -> str:
    """The URL under which a destination is opened now, when the rules of this server let it.

    Its address is looked up and judged anew: a name may lead elsewhere by now. Call it outside of
    a transaction, for it asks the name service.

    Raises:
        DestinationFailed: with the next step.
    """
    try:
        if destination.kind == DestinationKind.SERVER:
            return _own_url(destination.project_id)
        place = checked_place(DestinationKind(destination.kind), destination.url)
        if place.kind is DestinationKind.S3:
            check_host_blocking(_host(place.url))
    except (Problem, OutboundError) as error:
        text = error.detail if isinstance(error, Problem) else str(error)
        raise DestinationFailed(text) from None
    return place.url


def _bucket(url: str) -> Place:
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    except ValueError:
        raise Invalid("The url must be s3://bucket/prefix?access_key_id=…") from None
    options = dict(given)
    if parts.scheme != "s3" or not BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise Invalid("The url must be s3://bucket/prefix?access_key_id=…&secret_access_key=…")
    if unknown := sorted(options.keys() - OPTIONS):
        raise Invalid(f"The url may not say {', '.join(unknown)}; leave that out.")
    if missing := [name for name in NEEDED if not options.get(name)]:
        raise Invalid(f"The url lacks {' and '.join(missing)}; add a key that may write there.")
    options.setdefault("region", DEFAULT_REGION)
    if not REGION.fullmatch(options["region"]):
        raise Invalid("The region must be a name such as eu-central-1.")
    host = _checked_endpoint(options)
    where = f"s3://{parts.netloc}{_checked_prefix(parts.path)}"
    return Place(DestinationKind.S3, f"{where}?{urlencode(options)}", f"{where} at {host}")


def _checked_prefix(path: str) -> str:
    prefix = path.strip("/")
    try:
        return f"/{checked(prefix)}" if prefix else ""
    except ValueError:
        raise Invalid("The prefix must be words between slashes; leave other signs out.") from None


def _checked_endpoint(options: dict[str, str]) -> str:
    endpoint = options.get("endpoint") or f"https://s3.{options['region']}.amazonaws.com"
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
        parts = urlsplit("")
    strange = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not host or strange:
        raise Invalid("The endpoint must be https://host, and http:// only on a trusted network.")
    try:
        refuse_forbidden_host(host)
    except OutboundError as error:
        raise Invalid(str(error), code="address-not-allowed") from None
    return host if port is None else f"{host}:{port}"


def _host(url: str) -> str:
    options = dict(parse_qsl(urlsplit(url).query))
    endpoint = options.get("endpoint") or f"https://s3.{options['region']}.amazonaws.com"
    return urlsplit(endpoint).hostname or ""


def _own_url(project_id: str) -> str:
    """Below this server's own objects: in its bucket where it has one, else on its disk."""
    server = of(ServerSettings)
    parts = urlsplit(server.blobs_url)
    if parts.scheme in {"", "memory"}:
        return _folder_url(server.data_dir, project_id)
    if parts.scheme == "file":
        return _folder_url(Path(unquote(parts.path)), project_id)
    if parts.scheme != "s3":
        raise DestinationFailed(
            "This server keeps its objects in a store that takes no backups; add a bucket of S3."
        )
    if any(f"{name}=" not in parts.query for name in NEEDED):
        raise DestinationFailed(
            "MAINSTAY_BLOBS_URL names no keys, which backups need; name them there, or add a"
            " bucket of S3 as a destination."
        )
    return parts._replace(path=f"{parts.path.rstrip('/')}/{FOLDER}/{project_id}").geturl()


def _folder_url(root: Path, project_id: str) -> str:
    return f"file://{quote(str(root.resolve() / FOLDER / project_id))}"
