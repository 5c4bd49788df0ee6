"""A function whose policy may oblige to more than a yes: whoever sits at this terminal proves anew who they are.

The rule that allows it says `obligations: [{type: step-up, properties: {acr_value: "urn:acme:loa:passphrase"}}]`, or a
`custom` one with `properties: {vendor: acme, action: announce}`.

export COUNTERSIGN_URL=http://127.0.0.1:8000 COUNTERSIGN_KEY=csk_agent_…
export PASSPHRASE_DIGEST=$(python examples/step_up.py)
python examples/step_up.py A-1001 250.00
"""

import getpass
import hashlib
import hmac
import os
import sys
from collections.abc import Mapping
from typing import Any

from countersign.pep.answer import PepError
from countersign.pep.client import Pdp
from countersign.pep.guard import guard

PASSPHRASE = "urn:acme:loa:passphrase"


def typed_digest() -> str:
    """Of what is typed, so that the passphrase itself is kept nowhere. The salt of a real program is its own."""
    typed = getpass.getpass("Passphrase: ", stream=sys.stderr)
    return hashlib.scrypt(typed.encode(), salt=b"step-up example", n=2**14, r=8, p=1).hex()


def step_up(obligation: Mapping[str, Any]) -> bool:
    """True if they proved it. What this program cannot reach is not met, whatever is typed."""
    if obligation["properties"]["acr_value"] != PASSPHRASE:
        return False
    print(f"{obligation['agent']} wants to call {obligation['tool']}.", file=sys.stderr)
    return hmac.compare_digest(typed_digest(), os.environ["PASSPHRASE_DIGEST"])


def custom(obligation: Mapping[str, Any]) -> bool:
    """What was agreed on with whoever writes the policy, and nothing else."""
    match obligation["properties"]:
        case {"vendor": "acme", "action": "announce"}:
            print(f"Announced: {obligation['tool']} by {obligation['agent']}.")
            return True
        case _:
            return False


def main(order: str, amount: str) -> int:
    with Pdp(os.environ["COUNTERSIGN_URL"], os.environ["COUNTERSIGN_KEY"]) as pdp:

        @guard(
            pdp,
            agent="support-bot",
            tool="payments.refund",
            method="create",
            intent="customer-refund",
            obligations={"step-up": step_up, "custom": custom},
        )
        def refund(order: str, amount: str) -> str:
            return f"Refunded {amount} of order {order}."

        try:
            print(refund(order, amount))
        except PepError as error:
            print(f"Not run: {error}")
            return 4
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(typed_digest())
        sys.exit(0)
    sys.exit(main(*sys.argv[1:3]))
