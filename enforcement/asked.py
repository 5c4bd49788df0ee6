"""One evaluation as it was asked: the call, the salt that opens its commitment, and what goes with it."""

from dataclasses import dataclass

from approvals.origins import Origin
from approvals.requests import UNSAID
from countersign.policy.values import Call


@dataclass(slots=True)
class Asked:
    """One evaluation as it was asked. `commitment` is all that records will say of the action; the salt opens it."""

    call: Call
    salt: bytes
    commitment: str
    body: bytes
    attempt: str | None = None
    approval: str | None = None
    open_request: bool = False
    justification: str = ""
    origin: Origin | None = None
    supported: frozenset[str] | None = None  # obligations the PEP says it can meet; None: it says nothing of it
    approval_state: object = UNSAID  # what was presented beside the approval's id; verified where it is used
    proven_by: str | None = None  # the issuer whose token proved the principal
