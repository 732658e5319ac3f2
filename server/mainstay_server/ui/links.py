"""Links that keep what the page already shows: they change one query parameter and no other."""

from starlette.datastructures import URL

FORGOTTEN = ("cursor", "page")


def with_query(url: URL, **changes: object) -> str:
    """The path and query of this page with parameters changed; None removes one.

    Cursors are forgotten, since they belong to the list as it was.
    """
    known = {name: None for name in FORGOTTEN if name not in changes}
    changed = url.remove_query_params(
        [name for name, value in {**known, **changes}.items() if value is None]
    ).include_query_params(**{name: value for name, value in changes.items() if value is not None})
    return f"{changed.path}?{changed.query}" if changed.query else changed.path
