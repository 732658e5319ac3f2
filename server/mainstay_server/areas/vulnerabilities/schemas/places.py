"""Files as scanners name them, seen from the root of the checkout wherever it was checked out."""

import posixpath
import re
from urllib.parse import unquote, urlsplit

from .found import LONGEST_PLACE, one_line

# Where common runners check out: GitHub, GitHub's containers, GitLab, Bitbucket, Azure, CircleCI.
_CHECKOUTS = re.compile(
    r"^(?:/home/runner/work/[^/]+/[^/]+|/__w/[^/]+/[^/]+|/github/workspace|/builds/[^/]+/[^/]+"
    r"|/opt/atlassian/pipelines/agent/build|/home/vsts/work/\d+/s|/home/circleci/project)/"
)
_DRIVE = re.compile(r"^/?[A-Za-z]:/")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")


def path_of(uri: str, base: str = "") -> str:
    """A file's path from the root of the checkout.

    `base` is the absolute place that the document says paths are relative to. The same file is the
    same path whether a scanner wrote it relative, absolute, as a file: URL or with backslashes.
    """
    path = _plain(uri)
    root = _plain(base)
    if root.startswith("/") and path.startswith(root.rstrip("/") + "/"):
        path = path[len(root.rstrip("/")) + 1 :]
    path = _CHECKOUTS.sub("", path)
    path = posixpath.normpath(path) if path else ""
    return one_line(path.removeprefix("./"), LONGEST_PLACE)


def _plain(uri: str) -> str:
    text = uri[: LONGEST_PLACE * 4]
    if text.lower().startswith("file:"):
        text = urlsplit(text).path
    elif _SCHEME.match(text) and not _DRIVE.match(text.replace("\\", "/")):
        return text
    text = unquote(text).replace("\\", "/")
    return _DRIVE.sub("/", text)
