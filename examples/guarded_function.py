"""A Python function that runs only after the PDP, and people if need be, said yes.

export COUNTERSIGN_URL=http://127.0.0.1:8000 COUNTERSIGN_KEY=csk_agent_…
python examples/guarded_function.py A-1001 250.00
"""

import os
import sys

from countersign.pep.answer import Denied, Pending, PepError
from countersign.pep.client import Pdp
from countersign.pep.guard import guard

pdp = Pdp(os.environ["COUNTERSIGN_URL"], os.environ["COUNTERSIGN_KEY"])


@guard(
    pdp,
    agent="support-bot",
    tool="payments.refund",
    method="create",
    intent="customer-refund",
    transaction=lambda arguments: f"refund-{arguments['order']}",
    justification=lambda arguments: f"The customer of {arguments['order']} asked for their money back.",
    wait=60,
)
def refund(order: str, amount: str) -> str:
    """What must not happen without a yes."""
    return f"Refunded {amount} of order {order}."


def main(order: str, amount: str) -> int:
    try:
        print(refund(order, amount))
    except Pending as error:
        print(f"Not yet: {error}. Run this again after it has been approved.")
        return 3
    except Denied as error:
        print(f"No: {error}")
        return 4
    except PepError as error:
        print(f"Not run, because there is no decision: {error}")
        return 5
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
