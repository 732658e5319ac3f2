"""What people see of storage: buckets, folders and files, uploads, links, who uses how much."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import Form
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mainstay_server.kernel.area import MenuEntry
from mainstay_server.kernel.clock import utc_now
from mainstay_server.kernel.database import reading
from mainstay_server.kernel.problems import Problem
from mainstay_server.kernel.subjects import InstanceRef
from mainstay_server.kernel.web import Router
from mainstay_server.kernel.web.headers import CONTENT_SECURITY_POLICY
from mainstay_server.tenancy import access
from mainstay_server.tenancy.addresses import base_url
from mainstay_server.tenancy.frame import (
    done_or_refused,
    may_administer,
    project_frame,
    redirect_with,
)
from mainstay_server.tenancy.models import Role
from mainstay_server.tenancy.subjects import ProjectRef, find_project
from mainstay_server.ui import render

from .models import Bucket, Kind, Link
from .schemas.forms import LIVES, BucketForm, LimitsForm, LinkForm
from .service import buckets, files, links, setting_up, statistics, uploads

router = Router(prefix="/dashboard/projects/{slug}/storage", include_in_schema=False)

ViewedProject = Annotated[ProjectRef, access.project(Role.VIEWER)]
Viewed = Annotated[InstanceRef, access.instance(Role.VIEWER)]
Written = Annotated[InstanceRef, access.instance(Role.MEMBER)]
Administered = Annotated[InstanceRef, access.instance(Role.ADMIN)]
Key = Annotated[str, Form(max_length=4096)]
PER_PAGE = 50
MOST_LINKS_SHOWN = 20
DAYS = 90
DOWNLOAD_SECONDS = 300


@router.get("")
def show_storage(request: Request, session: Session, project: ViewedProject) -> Response:
    """The buckets of an instance and what is in the chosen one."""
    now = utc_now()
    frame = project_frame(request, session, project, page="storage", now=now)
    instance: InstanceRef = frame["instance"]
    found = buckets.buckets_of(session, instance.id)
    wanted = request.query_params.get("bucket", "")
    bucket = next((b for b in found if wanted in (b.id, b.name)), found[0] if found else None)
    page = render(
        request,
        "storage/storage.html",
        **frame,
        buckets=found,
        bucket=bucket,
        totals={b.id: statistics.total_of(session, b) for b in found},
        inside=_inside(request, session, bucket) if bucket else None,
        may_administer=may_administer(request),
        server=base_url(request),
        lives=LIVES,
        kinds=[(Kind.SERVER.value, "This server"), (Kind.S3.value, "S3, MinIO, Spaces, Google")],
    )
    if bucket is not None and bucket.kind == Kind.S3:
        # files go from the page to the store itself
        parts = urlsplit(bucket.config["endpoint"])
        allowed = f"connect-src 'self' {parts.scheme}://{parts.netloc};"
        page.headers["content-security-policy"] = CONTENT_SECURITY_POLICY.replace(
            "connect-src 'self';", allowed
        )
    return page


@router.post("/{instance_id}/buckets")
def create_bucket(instance: Administered, form: Annotated[BucketForm, Form()]) -> Response:
    """Make a bucket; a store elsewhere is tried first."""

    def create() -> None:
        limits = {"quota_objects": None, "owner_quota_objects": None, "max_object_bytes": 5 << 30}
        setting_up.create(
            instance,
            name=form.name,
            kind=form.kind,
            config=form.config(),
            limits={**limits, **form.limits()},
            told=lambda _session, bucket: bucket.id,
            now=utc_now(),
        )

    name = form.name.strip()
    return _done(create, path=_path(instance, bucket=name), done=f"There is a bucket {name} now.")


@router.post("/{instance_id}/{bucket_id}/change")
def change_bucket(
    session: Session, instance: Administered, bucket_id: str, form: Annotated[LimitsForm, Form()]
) -> Response:
    """Change a bucket's limits."""
    return done_or_refused(
        session,
        lambda: buckets.change_bucket(session, instance, bucket_id, form.limits(), now=utc_now()),
        path=_path(instance, bucket=bucket_id),
        done="The limits were changed.",
    )


@router.post("/{instance_id}/{bucket_id}/remove")
def remove_bucket(session: Session, instance: Administered, bucket_id: str) -> Response:
    """Remove an empty bucket, or one elsewhere."""
    return done_or_refused(
        session,
        lambda: buckets.remove_bucket(session, instance, bucket_id, now=utc_now()),
        path=_path(instance),
        done="The bucket was removed.",
    )


@router.get("/{instance_id}/{bucket_id}/download")
def download(request: Request, session: Session, instance: Viewed, bucket_id: str) -> Response:
    """Lead to a file's bytes."""
    bucket = buckets.get_bucket(session, instance, bucket_id)
    key = request.query_params.get("key", "")
    url, _ = files.make_download_url(
        session, bucket, key, seconds=DOWNLOAD_SECONDS, inline=False, now=utc_now()
    )
    return RedirectResponse(url, status_code=303, headers={"referrer-policy": "no-referrer"})


@router.post("/{instance_id}/{bucket_id}/delete")
def delete(instance: Written, bucket_id: str, key: Key = "", prefix: Key = "") -> Response:
    """Delete a file."""

    def remove() -> None:
        with reading() as session:
            bucket = buckets.get_bucket(session, instance, bucket_id)
        files.remove_files(instance.organization_id, bucket.id, [key], now=utc_now())

    name = key.rpartition("/")[2]
    return _done(
        remove, path=_path(instance, bucket=bucket_id, prefix=prefix), done=f"{name} was deleted."
    )


@router.post("/{instance_id}/{bucket_id}/links")
def create_link(
    request: Request,
    session: Session,
    instance: Written,
    bucket_id: str,
    form: Annotated[LinkForm, Form()],
) -> Response:
    """Make a link that is counted; it is shown once."""
    back = _path(instance, bucket=bucket_id)
    try:
        bucket = buckets.get_bucket(session, instance, bucket_id)
        link = _make_link(request, session, bucket, form)
    except Problem as problem:
        return redirect_with(back, problem.detail, "critical")
    project = find_project(session, instance.project_slug)
    assert project is not None, "the instance has one"
    frame = project_frame(request, session, project, page="storage", now=utc_now())
    url = f"{base_url(request)}{links.url_of(links.link_token(bucket, link))}"
    return render(request, "storage/link.html", **frame, link=link, url=url, back=back)


@router.post("/{instance_id}/{bucket_id}/links/revoke")
def revoke_links(session: Session, instance: Written, bucket_id: str) -> Response:
    """End every link that the server answers."""
    return done_or_refused(
        session,
        lambda: buckets.revoke_links(session, instance, bucket_id, now=utc_now()),
        path=_path(instance, bucket=bucket_id),
        done="Every link of this bucket that the server answers has ended.",
    )


@router.post("/{instance_id}/{bucket_id}/links/{link_id}/revoke")
def revoke_link(session: Session, instance: Written, bucket_id: str, link_id: str) -> Response:
    """End one link."""

    def revoke() -> None:
        bucket = buckets.get_bucket(session, instance, bucket_id)
        links.revoke_link(session, bucket, link_id, now=utc_now())

    return done_or_refused(
        session, revoke, path=_path(instance, bucket=bucket_id), done="The link was revoked."
    )


menu = MenuEntry(label="Storage", page="storage", icon="storage", group="keep", order=20)


def _inside(request: Request, session: Session, bucket: Bucket) -> dict[str, Any]:
    """What is shown of one bucket."""
    asked = request.query_params
    prefix, search = asked.get("prefix", "")[:1100], asked.get("q", "").strip()[:200]
    cursor = asked.get("cursor", "")
    if search:
        page = files.list_files(
            session, bucket, prefix=prefix, search=search, limit=PER_PAGE, cursor=cursor
        )
        listing = files.Listing(folders=(), files=page.items, next_cursor=page.next_cursor)
    else:
        listing = files.browse(session, bucket, prefix=prefix, limit=PER_PAGE, cursor=cursor)
    shown_links = links.list_links(session, bucket.id, limit=MOST_LINKS_SHOWN, cursor="")
    return {
        "prefix": prefix,
        "search": search,
        "trail": _trail(prefix),
        "listing": listing,
        "links": shown_links.items,
        "more_links": shown_links.next_cursor is not None,
        "owners": statistics.owners_of(session, bucket),
        "types": statistics.types_of(session, bucket),
        "chart": _chart(session, bucket),
    }


def _make_link(request: Request, session: Session, bucket: Bucket, form: LinkForm) -> Link:
    uploads.check_seconds(form.seconds())
    return links.create_link(
        session,
        bucket,
        files.get_file(session, bucket, form.key),
        uses=form.times(),
        note=form.note,
        seconds=form.seconds(),
        by=request.state.caller.actor,
        now=utc_now(),
    )


def _trail(prefix: str) -> list[tuple[str, str]]:
    """The folders that lead to a prefix: each one's name and its own prefix."""
    names = prefix.split("/")[:-1]
    return [(name, "/".join(names[: depth + 1]) + "/") for depth, name in enumerate(names)]


def _chart(session: Session, bucket: Bucket) -> dict[str, Any]:
    days = statistics.days_of(session, bucket, days=DAYS, now=utc_now())
    return {
        "times": [statistics.moment_of(day) for day in days],
        "series": [{"label": "Stored", "values": [day.used_bytes for day in days]}],
    }


def _path(instance: InstanceRef, **query: str) -> str:
    kept = {name: value for name, value in query.items() if value}
    return instance.page("storage") + (f"&{urlencode(kept)}" if kept else "")


def _done(act: Callable[[], object], *, path: str, done: str) -> Response:
    """Do what opens transactions of its own, and go back to the page."""
    try:
        act()
    except Problem as problem:
        return redirect_with(path, problem.detail, "critical")
    return redirect_with(path, done)
