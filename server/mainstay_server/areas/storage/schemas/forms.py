"""The forms of the pages; what was left empty is "" there."""

from pydantic import BaseModel, Field

from mainstay_server.areas.storage.models import Kind
from mainstay_server.kernel.problems import Invalid

MIB = 1 << 20
MOST_DIGITS = 10
LIVES = {"3600": "an hour", "86400": "a day", "604800": "seven days"}


class LimitsForm(BaseModel):
    """The limits of a bucket; sizes are typed in MiB."""

    quota_mib: str = Field("", max_length=60)
    owner_quota_mib: str = Field("", max_length=60)
    content_types: str = Field("", max_length=600)

    def limits(self) -> dict[str, object]:
        """The limits as a bucket has them. Raises `Invalid`."""
        return {
            "quota_bytes": _bytes_of(self.quota_mib),
            "owner_quota_bytes": _bytes_of(self.owner_quota_mib),
            "content_types": self.content_types.replace(",", " ").split(),
        }


class BucketForm(LimitsForm):
    """A new bucket."""

    name: str = Field("", max_length=63)
    kind: Kind = Kind.SERVER
    endpoint: str = Field("", max_length=500)
    region: str = Field("", max_length=60)
    store_bucket: str = Field("", max_length=63)
    prefix: str = Field("", max_length=500)
    access_key_id: str = Field("", max_length=500)
    secret_access_key: str = Field("", max_length=500)

    def config(self) -> dict[str, str]:
        """What a store elsewhere is reached by; nothing for this server's."""
        if self.kind == Kind.SERVER:
            return {}
        given = {
            "endpoint": self.endpoint,
            "region": self.region,
            "bucket": self.store_bucket,
            "prefix": self.prefix,
            "accessKeyId": self.access_key_id,
            "secretAccessKey": self.secret_access_key,
        }
        return {name: value for name, value in given.items() if value}


class LinkForm(BaseModel):
    """A link that is counted."""

    key: str = Field("", max_length=4096)
    life: str = Field("3600", max_length=10)
    uses: str = Field("", max_length=60)
    note: str = Field("", max_length=200)

    def seconds(self) -> int:
        """How long it works; 0 for what was not offered."""
        return int(self.life) if self.life in LIVES else 0

    def times(self) -> int | None:
        """How often it works; None for as often as one likes. Raises `Invalid`."""
        return _number_of(self.uses, "How often")


def _bytes_of(mib: str) -> int | None:
    found = _number_of(mib, "A limit in MiB")
    return None if found is None else found * MIB


def _number_of(text: str, what: str) -> int | None:
    clean = text.strip()
    if not clean:
        return None
    if not clean.isascii() or not clean.isdigit() or len(clean) > MOST_DIGITS:
        raise Invalid(f"{what} is a whole number, or empty for no end.")
    return int(clean)
