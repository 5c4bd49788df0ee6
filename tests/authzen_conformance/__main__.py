"""`python -m tests.authzen_conformance --url … --token …`: the level table on stdout, exit 0 if every level passed."""

import argparse
import os
import sys
from pathlib import Path

from tests.authzen_conformance import run
from tests.authzen_conformance.pdp import Pdp


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.authzen_conformance", description=__doc__)
    parser.add_argument("--url", required=True, help="the base URL of the PDP, as its metadata name it")
    parser.add_argument("--token", default=os.environ.get("AUTHZEN_TOKEN", ""), help="bearer token (or AUTHZEN_TOKEN)")
    parser.add_argument(
        "--schemas", type=Path, help="api/schemas of an openid/authzen checkout, to check answers by too"
    )
    given = parser.parse_args()
    with Pdp(given.url, given.token, published=given.schemas) as pdp:
        results = list(run.levels(pdp))
    sys.stdout.write(run.table(results) + "\n")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
