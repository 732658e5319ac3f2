"""Shapes of the allowlist's API (REQUIREMENTS P9)."""

from enum import StrEnum

from pydantic import Field

from mainstay_server.kernel.web.bodies import Answer, Body, Instant


class Action(StrEnum):
    """What to do with the allowlist."""

    ADD = "add"
    REMOVE = "remove"
    TOGGLE = "toggle"


class AllowlistBody(Body):
    """`add` takes an address and perhaps a network, the others take an entry's id.

    The network is written as a whole in either field (`10.0.0.0/8`), or as an address with the
    length of its prefix in `cidr`. `enabled` left out toggles.
    """

    action: Action = Field(examples=["add"])
    ip_address: str = Field("", max_length=60, examples=["203.0.113.0"])
    cidr: str | int | None = Field(None, examples=["24"])
    description: str | None = Field(None, max_length=200, examples=["the office"])
    entry_id: str = Field("", max_length=36, examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    enabled: bool | None = Field(None, examples=[True])


class EntryAnswer(Answer):
    """One entry; `cidr` is null for a single address."""

    id: str = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
    ip_address: str = Field(examples=["203.0.113.0"])
    cidr: str | None = Field(examples=["203.0.113.0/24"])
    description: str = Field(examples=["the office"])
    enabled: bool = Field(examples=[True])
    created_at: Instant


class AllowlistAnswer(Answer):
    """All entries of an instance; `active` says that an entry is on, so that others stay out."""

    allowlist: list[EntryAnswer]
    active: bool = Field(examples=[True])


class AddressAnswer(Answer):
    """Whether an address gets in, and by which entry."""

    address: str = Field(examples=["203.0.113.9"])
    allowed: bool = Field(examples=[True])
    active: bool = Field(examples=[True])
    entry_id: str | None = Field(examples=["0199b1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"])
