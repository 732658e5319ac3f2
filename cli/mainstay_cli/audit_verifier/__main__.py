"""`python3 -m mainstay_cli.audit_verifier BUNDLE`, or `python3 BUNDLE.zip`, which carries this.

Exit code 0: it verifies. 1: it does not, and each fault is named. 2: it could not be read.
"""

import argparse
import json
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

from mainstay_cli.audit_verifier.bundles import read_bundle, read_kept
from mainstay_cli.audit_verifier.reports import told
from mainstay_cli.audit_verifier.verifying import verify

CANNOT_READ = 2


def main() -> int:
    """Verify the bundle that the command line names, or the one that this program lies in."""
    parser = argparse.ArgumentParser(description="Verify an exported audit log.")
    itself = Path(sys.argv[0])
    parser.add_argument("bundle", type=Path, nargs="?", default=itself, help="a zip or a folder")
    parser.add_argument("--key", action="append", default=[], help="a public key that you kept")
    parser.add_argument("--checkpoint", action="append", default=[], type=Path, metavar="PATH")
    parser.add_argument("--json", action="store_true", help="for machines")
    chosen = parser.parse_args()
    try:
        report = verify(
            read_bundle(chosen.bundle), kept=read_kept(chosen.checkpoint), trusted=chosen.key
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        sys.stderr.write(f"The bundle cannot be read: {error}\n")
        return CANNOT_READ
    if chosen.json:
        text = json.dumps({**asdict(report), "verified": report.verified}, indent=2) + "\n"
    else:
        text = "".join(f"{line}\n" for line in told(report))
    sys.stdout.write(text)
    return 0 if report.verified else 1


if __name__ == "__main__":
    sys.exit(main())
