"""`python -m examples.lookalikes.slack`: the look-alike on its own, set up by the variables the service reads too."""

import argparse
import asyncio
import contextlib
import os

from examples.lookalikes.port import check_free
from examples.lookalikes.slack.acme import acme
from examples.lookalikes.slack.server import serving


def main() -> None:
    parser = argparse.ArgumentParser(description="A Slack that runs on this machine, on loopback only.")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--request-url", default="http://127.0.0.1:8000/slack/events", help="where the app listens")
    asked = parser.parse_args()
    check_free(asked.port)
    given = {
        name: os.environ[f"COUNTERSIGN_SLACK_{name.upper()}"]
        for name in ("bot_token", "app_token", "signing_secret")
        if os.environ.get(f"COUNTERSIGN_SLACK_{name.upper()}")
    }
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(asked.port, {"request_url": asked.request_url, **given}))


async def _serve(port: int, settings: dict[str, str]) -> None:
    workspace = acme(storm=None, **settings)
    async with serving(workspace, port=port) as address:
        print(f"Slack look-alike on {address}. Point the service at it:", flush=True)
        print(f"  export COUNTERSIGN_SLACK_API_URL={address}/api/", flush=True)
        for name in ("bot_token", "app_token", "signing_secret"):
            print(f"  export COUNTERSIGN_SLACK_{name.upper()}={getattr(workspace, name)}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
