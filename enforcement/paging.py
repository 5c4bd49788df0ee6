"""A search's `page` member in, where the page begins and how long it is out; and the token that leads to the next.

A token is sealed: where a search came to may be a name that its caller must not learn of. It is bound to the tenant,
the credential and the query, so that it opens nowhere else, and padded, so that its length says little.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from countersign.proof import base64text, canonical
from enforcement.problems import Kind, Problem
from evidence import keys

LIMIT: Final = 100  # results of a page whose caller names no number
MOST: Final = 1000
_BLOCK: Final = 256


class Page(NamedTuple):
    """At most `limit` results beyond `after`; none before: the first page."""

    limit: int
    after: str = ""


def member(members: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `page` of a request, its types checked. Raises Problem (400)."""
    page = _object(members, "page", "page")
    if "token" in page and not (isinstance(page["token"], str) and page["token"]):
        raise Problem(Kind.MALFORMED, "`page.token` must be a `next_token` of ours.")
    if "limit" in page and (type(page["limit"]) is not int or page["limit"] < 0):
        raise Problem(Kind.MALFORMED, "`page.limit` must be a whole number that is not negative.")
    _object(page, "properties", "page.properties")
    return page


def begun(page: Mapping[str, Any], *, bound_to: str) -> Page:
    """Where a checked `page` begins. Raises Problem (400).

    A limit that is left out with a token is that of the page before; another one is another query.
    """
    limit = min(page["limit"], MOST) if "limit" in page else None
    if "token" not in page:
        return Page(LIMIT if limit is None else limit)
    opened = _opened(page["token"], bound_to=bound_to)
    if limit not in (None, opened.limit):
        raise Problem(Kind.MALFORMED, "`page.limit` is not that of the page before.")
    return opened


def token(page: Page, *, bound_to: str) -> str:
    """What a caller sends to get that page."""
    written = canonical.dumps({"after": page.after, "limit": page.limit})
    padded = written.ljust(-(-len(written) // _BLOCK) * _BLOCK)
    return base64text.encode(keys.seal(padded, bound_to=bound_to))


def _opened(token: str, *, bound_to: str) -> Page:
    try:
        written = keys.unseal(base64text.decode(token), bound_to=bound_to)
    except (base64text.BadBase64, keys.CannotUnseal) as error:
        words = "`page.token` does not belong to this query of this credential; begin again without one."
        raise Problem(Kind.MALFORMED, words) from error
    told = canonical.loads_object(written)
    return Page(told["limit"], told["after"])


def _object(members: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    value = members.get(name, {})
    if not isinstance(value, dict):
        raise Problem(Kind.MALFORMED, f"`{path}` must be an object.")
    return value
