"""Packages as scanners name them: by purl, or by ecosystem and name; here by the type of a purl."""

import re
from functools import lru_cache

from packageurl import PackageURL

from .found import LONGEST_NAME, one_line

LONGEST_PURL = 1000
# OSV's names of ecosystems, where they are not simply the purl's type.
TYPES = {
    "crates.io": "cargo",
    "go": "golang",
    "rubygems": "gem",
    "packagist": "composer",
    "alpine": "apk",
    "debian": "deb",
    "ubuntu": "deb",
    "red hat": "rpm",
    "rocky linux": "rpm",
    "almalinux": "rpm",
    "suse": "rpm",
    "opensuse": "rpm",
}
_PYTHON_SEPARATORS = re.compile(r"[-_.]+")


def ecosystem_of(name: object) -> str:
    """The purl type of an ecosystem: `PyPI` is `pypi`, `Debian:12` is `deb`."""
    plain = one_line(name, LONGEST_NAME).partition(":")[0].strip().lower()
    return TYPES.get(plain, plain) or "generic"


def package_of(ecosystem: str, name: object) -> str:
    """A package's name as its registry compares it; on PyPI by PEP 503."""
    plain = one_line(name, LONGEST_NAME)
    return _PYTHON_SEPARATORS.sub("-", plain).lower() if ecosystem == "pypi" else plain


@lru_cache(maxsize=8192)
def read_purl(text: str) -> tuple[str, str, str] | None:
    """The ecosystem, name and version in a purl; None for what is none.

    A name with a namespace is written as OSV does: `group:artifact` for Maven, with a slash for
    others. The distribution that a package of an operating system is from is no part of its name.
    """
    if not text.startswith("pkg:") or len(text) > LONGEST_PURL:
        return None
    try:
        purl = PackageURL.from_string(text)
    except ValueError:
        return None
    ecosystem = ecosystem_of(purl.type)
    name = purl.name
    if purl.namespace and ecosystem not in ("deb", "apk", "rpm"):
        name = f"{purl.namespace}{':' if ecosystem == 'maven' else '/'}{purl.name}"
    return ecosystem, package_of(ecosystem, name), one_line(purl.version, LONGEST_NAME)
