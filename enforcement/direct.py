"""The one question that is asked thousands of times a second: its headers and body in, an answer under way out.

What `api.answer` does for any request, without a task for each: a call that is judged from memory and joins the group
has nothing to wait for but its COMMIT.
"""

import asyncio
from collections.abc import Mapping

from enforcement import authn, commit, decide
from enforcement.principals import Unproven

_JSON = b"application/json"


def ask(headers: Mapping[bytes, bytes], body: bytes) -> "asyncio.Future[bytes] | None":
    """The answer's body, once it is durable; None if it takes more than memory and the group to answer.

    On the event loop, so `body` is not longer than `decide.AT_ONCE`. Raises Problem; the future: Problem or Stale.
    """
    if headers.get(b"content-type") != _JSON:
        return None
    caller = authn.remembered(headers.get(b"authorization", b""))
    if caller is None:
        return None
    try:
        joining = decide.grouped(decide.judge(caller, body))
    except Unproven:
        return None
    return None if joining is None else commit.writer().submit(joining)
