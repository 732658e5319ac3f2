"""Write `requirements.lock`: the version and the hashes of every package, and nobody's address.

Pins that still satisfy the three `pyproject.toml` files stay as they are; `--upgrade` moves them to
the newest, `--upgrade-package NAME` one of them. Run it with `make lock`.
"""

import sys

from set_up import LOCK, ROOT, environment_of_tools, find_uv, run

MEMBERS = ("mainstay", "mainstay-server", "mainstay-cli")


def main() -> int:
    """Resolve for every supported Python and platform at once, then prove what was written."""
    own = [part for member in MEMBERS for part in ("--no-emit-package", member)]
    run(
        [
            str(find_uv()),
            *("pip", "compile", "--quiet", str(ROOT / "pyproject.toml")),
            *("--group", "dev", "--group", "bench"),
            *("--universal", "--python-version", "3.11", "--generate-hashes"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
            *own,
            *("--output-file", str(LOCK)),
            *sys.argv[1:],
        ],
        doing=LOCK.name,
        env=environment_of_tools(),
    )
    places = [line for line in LOCK.read_text().splitlines() if "/" in line]
    if places:
        print(f"{LOCK.name} names a place: {places[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
