"""The allowlist of an instance, over HTTP (REQUIREMENTS P9)."""

from typing import Annotated

from fastapi import Query
from sqlalchemy.orm import Session

from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.networks import shown
from mainstay_server.kernel.problems import Invalid
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.tenancy import access
from mainstay_server.tenancy.models import Role

from . import service
from .models import AllowlistEntry
from .schemas import Action, AddressAnswer, AllowlistAnswer, AllowlistBody, EntryAnswer

router = Router()

Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]


@router.get(
    "/api/instances/{instance_id}/ip-allowlist",
    summary="The allowlist of an instance",
    operation_id="get_ip_allowlist",
)
def get_allowlist(session: Session, instance: Viewed) -> AllowlistAnswer:
    """Every entry, oldest first, those that are off too; at most 1,000."""
    return _answer(session, instance)


@router.post(
    "/api/instances/{instance_id}/ip-allowlist",
    summary="Add, remove or switch an entry of the allowlist",
    operation_id="change_ip_allowlist",
)
def change_allowlist(
    session: Session, instance: Administered, body: AllowlistBody
) -> AllowlistAnswer:
    """Do one thing with the list, and get it as it is then; guards follow within a second."""
    now = utc_now()
    if body.action is Action.ADD:
        if not body.ip_address and not body.cidr:
            raise Invalid("ipAddress is missing; name the address or network to let in.")
        service.add_entry(
            session,
            instance,
            service.clean_network(body.ip_address or str(body.cidr), body.cidr),
            description=body.description or "",
            enabled=body.enabled is not False,
            now=now,
        )
        return _answer(session, instance)
    if not body.entry_id:
        raise Invalid("entryId is missing; the list has the ids of its entries.")
    if body.action is Action.REMOVE:
        service.remove_entry(session, instance, body.entry_id, now=now)
    else:
        service.change_entry(
            session,
            instance,
            body.entry_id,
            enabled=body.enabled,
            description=body.description,
            now=now,
        )
    return _answer(session, instance)


@router.get(
    "/api/instances/{instance_id}/ip-allowlist/check",
    summary="Whether an address is let in",
    operation_id="check_ip_allowlist",
)
def check_address(
    session: Session,
    instance: Viewed,
    address: Annotated[
        str, Query(max_length=60, description="A client address.", examples=["203.0.113.9"])
    ],
) -> AddressAnswer:
    """Ask for one client address; everybody is let in while no entry is on."""
    entries = service.list_entries(session, instance.id)
    found, active = service.find_entry_for(entries, address)
    return AddressAnswer(
        address=shown(service.clean_network(address)),
        allowed=found is not None or not active,
        active=active,
        entry_id=found.id if found else None,
    )


def _answer(session: Session, instance: InstanceRef) -> AllowlistAnswer:
    entries = service.list_entries(session, instance.id)
    return AllowlistAnswer(
        allowlist=[_entry(entry) for entry in entries],
        active=any(entry.enabled for entry in entries),
    )


def _entry(entry: AllowlistEntry) -> EntryAnswer:
    single = shown(entry.network) != entry.network
    return EntryAnswer(
        id=entry.id,
        ip_address=entry.network.partition("/")[0],
        cidr=None if single else entry.network,
        description=entry.description,
        enabled=entry.enabled,
        created_at=entry.created_at,
    )
