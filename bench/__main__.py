"""`make bench`: every row measured, one table printed, `var/bench.json` written."""

import json
import platform
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import connectors, decision, evaluate, evaluations, scrub, search, slack_click, waivers, waivers_expire

OUT = Path(__file__).parent.parent / "var" / "bench.json"
SUITES = {
    "evaluate": evaluate.rows,
    "waivers": waivers.rows,
    "expire": waivers_expire.rows,
    "search": search.rows,
    "decision": decision.rows,
    "evaluations": evaluations.rows,
    "scrub": scrub.rows,
    "connectors": connectors.rows,
    "slack": slack_click.rows,
}


def line(row: Mapping[str, Any]) -> str:
    """One row of the table; a skipped one says why."""
    if "skipped" in row:
        return f"| `{row['name']}` | – | – | – | – | skipped: {row['skipped']} |"
    against = f"{row['ratio']:.2f} × `{row['against']}`" if row.get("against") else "–"
    latency = [f"{row[key]:.3f}" if row.get(key) is not None else "–" for key in ("p50_ms", "p99_ms")]
    return f"| `{row['name']}` | {row['value']:,.0f} | {row['unit']} | {latency[0]} | {latency[1]} | {against} |"


def main() -> None:
    """A row is told and kept as soon as it is measured; what was started is stopped, also when told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}\n")
    print("| row | value | unit | p50 ms | p99 ms | against |")
    print("|---|---:|---|---:|---:|---|")
    rows: list[Mapping[str, Any]] = []
    for row in (row for name in sys.argv[1:] or SUITES for row in SUITES[name]()):
        rows.append(row)
        OUT.write_text(json.dumps(rows, indent=1) + "\n")
        print(line(row), flush=True)


if __name__ == "__main__":
    main()
