"""What went wrong between us and a Jira site in, a TransportError an administrator can act on out.

Bodies, headers and addresses with their queries stay out of the words: they may carry what an agent supplied.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import jira
import requests

from connectors.port import TransportError

ODD_SHAPES = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError)
"""What an answer of another shape than documented raises here and in the library."""

LONGEST_WAIT = timedelta(hours=1)
_DIGITS = 6
_PASSING = frozenset({408, 409, 423, 425, 429, 500, 502, 503, 504})
_WORDS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "refused the e-mail address and token. Make a new token and save it.",
    HTTPStatus.FORBIDDEN: "does not let this account do that. Look at its rights there and at the token's scopes.",
    HTTPStatus.NOT_FOUND: "does not know this address, project or issue, or hides it from this account.",
    HTTPStatus.GONE: "has taken this function away. A newer version of this service is needed.",
    HTTPStatus.TOO_MANY_REQUESTS: "asks us to slow down.",
}
_FIELD = re.compile(r"[A-Za-z][\w.-]{0,40}").fullmatch


class NoApi(requests.RequestException):
    """An answer that is a page for people, not JSON: a proxy's, a sign-in page, or a wrong address."""


def host(url: str) -> str:
    """Name of the machine alone, for words."""
    return urlsplit(url).hostname or "?"


def refuse_pages(response: requests.Response, *_args: Any, **_options: Any) -> None:
    """A response hook. The library would write the whole page to the log before it raised."""
    if response.ok and response.content:
        try:
            response.json()
        except ValueError:
            raise NoApi from None


def told(error: Exception, *, host: str) -> TransportError:
    """The same failure in our words, with what to do about it."""
    if isinstance(error, jira.JIRAError) and error.status_code:
        return _answered(error, host=host)
    if isinstance(error, requests.TooManyRedirects):
        words = f"{host} sends us elsewhere. Give the site's final address, such as https://NAME.atlassian.net."
        return TransportError(words, permanent=True)
    if isinstance(error, requests.Timeout):
        return TransportError(f"{host} did not answer in time.")
    if isinstance(error, (NoApi, jira.JIRAError, *ODD_SHAPES)):
        return TransportError(f"{host} answered with something that Jira's API does not say. Is its address right?")
    return TransportError(f"{host} cannot be reached.")


def _answered(error: jira.JIRAError, *, host: str) -> TransportError:
    status = int(error.status_code or 0)
    fields = _fields(error)
    words = _WORDS.get(status, f"answered {status}.")
    if fields:
        words = f"does not take these fields: {fields}. Look at the project's issue type and its screen."
    permanent = status not in _PASSING and status < HTTPStatus.INTERNAL_SERVER_ERROR
    return TransportError(f"{host} {words}", permanent=permanent, retry_after=_retry_after(error))


def _fields(error: jira.JIRAError) -> str:
    """Names of the fields a 400 complains about; its sentences would repeat what was sent."""
    if error.status_code != HTTPStatus.BAD_REQUEST or error.response is None:
        return ""
    try:
        errors = error.response.json().get("errors", {})
    except (*ODD_SHAPES, requests.RequestException):
        return ""
    return ", ".join(sorted(filter(_FIELD, errors))) if isinstance(errors, dict) else ""


def _retry_after(error: jira.JIRAError) -> timedelta | None:
    """Whole seconds, as Jira sends them; never longer than an hour, whatever it says."""
    given = "" if error.response is None else error.response.headers.get("Retry-After", "").strip()
    if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
        return None
    return min(timedelta(seconds=int(given)), LONGEST_WAIT)
