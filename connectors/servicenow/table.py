"""Rows of an instance in and out through its Table API; every failure is a TransportError.

https://www.servicenow.com/docs/bundle/zurich-api-reference/page/integrate/inbound-rest/concept/c_TableAPI.html
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from connectors.lasting import Lasting
from connectors.port import Account, TransportError

Row = Mapping[str, str]

_TIMEOUT = httpx2.Timeout(10, connect=5)
_LONGEST_WAIT = timedelta(hours=1)
_PLAIN = {"sysparm_display_value": "false", "sysparm_exclude_reference_link": "true"}
_ALL = {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"}


class Forbidden(TransportError):
    """The instance knows us and refuses this very change: a right is missing, or a rule of the instance says no."""


class Table:
    """One instance, opened as one user. Nothing is retried here: the outbox does that."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @property
    def user(self) -> str:
        """The name we sign in with: what `sys_updated_by` says of our own changes."""
        return self._account.settings["user"]

    def row(self, table: str, sys_id: str, fields: Iterable[str]) -> Row:
        """One row's stored values."""
        found = self._ask("GET", f"{table}/{sys_id}", {**_PLAIN, "sysparm_fields": ",".join(fields)})
        return _row(found)

    def shown(self, table: str, sys_id: str, fields: Iterable[str]) -> tuple[Row, Row]:
        """One row twice: its stored values and what a reader is shown, which alone has the journals."""
        found = self._ask("GET", f"{table}/{sys_id}", {**_ALL, "sysparm_fields": ",".join(fields)})
        if not isinstance(found, dict) or not all(isinstance(both, dict) for both in found.values()):
            raise _strange()
        values = {name: str(both.get("value") or "") for name, both in found.items()}
        return values, {name: str(both.get("display_value") or "") for name, both in found.items()}

    def rows(self, table: str, query: str, fields: Iterable[str], *, limit: int) -> list[Row]:
        """What the query finds. An instance ignores a clause it does not understand: look at what comes back."""
        asked = {**_PLAIN, "sysparm_query": query, "sysparm_fields": ",".join(fields), "sysparm_limit": str(limit)}
        found = self._ask("GET", table, asked)
        if not isinstance(found, list):
            raise _strange()
        return [_row(one) for one in found]

    def create(self, table: str, given: Row) -> Row:
        return _row(self._ask("POST", table, {**_PLAIN, "sysparm_fields": "sys_id,number"}, given))

    def change(self, table: str, sys_id: str, given: Row) -> None:
        self._ask("PATCH", f"{table}/{sys_id}", {**_PLAIN, "sysparm_fields": "sys_id"}, given)

    def _ask(self, method: str, path: str, query: Mapping[str, str], given: Row | None = None) -> Any:
        told = self._account.settings
        url = f"{told['url'].rstrip('/')}/api/now/table/{path}"
        try:
            answer = CLIENT.get().request(
                method, url, auth=(told["user"], told["password"]), params=dict(query), json=given,
                headers={"Accept": "application/json"}, timeout=_TIMEOUT,
            )  # fmt: skip
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TransportError(f"ServiceNow did not answer: {type(error).__name__}.") from None
        if not answer.is_success:
            raise _refusal(answer)
        try:
            return answer.json()["result"]
        except (ValueError, KeyError, TypeError):
            raise _strange() from None


def _client() -> httpx2.Client:
    """For all instances and users, so it must keep nothing of one that another could be taken for: no cookies."""
    nothing = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    return httpx2.Client(cookies=nothing)


CLIENT = Lasting(_client, end=httpx2.Client.close)


def _row(found: object) -> Row:
    if not isinstance(found, dict):
        raise _strange()
    return {str(name): value if isinstance(value, str) else "" for name, value in found.items()}


def _strange() -> TransportError:
    """A sleeping instance answers every call with a page and 200."""
    return TransportError("ServiceNow answered something else than the Table API does. Is the instance awake?")


def _refusal(answer: httpx2.Response) -> TransportError:
    """In our words: the instance's own may repeat what was sent."""
    match answer.status_code:
        case HTTPStatus.UNAUTHORIZED:
            return TransportError("ServiceNow refused our user or password. Look at both.", permanent=True)
        case HTTPStatus.FORBIDDEN:
            return Forbidden(
                "ServiceNow refused the change: our user lacks a right, or a rule said no.", permanent=True
            )
        case HTTPStatus.NOT_FOUND:
            return TransportError("ServiceNow has no such record, or does not show it to our user.", permanent=True)
        case HTTPStatus.TOO_MANY_REQUESTS:
            wait = _retry_after(answer.headers.get("retry-after", ""))
            return TransportError("ServiceNow asks us to slow down.", retry_after=wait)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TransportError(f"ServiceNow is out of order ({status}).")
        case status:
            return TransportError(f"ServiceNow does not understand us ({status}). Look at its URL.", permanent=True)


def _retry_after(header: str) -> timedelta:
    """Seconds; a date or nonsense is a minute. Never longer than an hour, whatever it says."""
    seconds = int(header) if header.isascii() and header.isdecimal() and len(header) < 6 else 60  # noqa: PLR2004  a day
    return min(timedelta(seconds=seconds), _LONGEST_WAIT)
