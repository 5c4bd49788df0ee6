"""The few things we ask of a Jira site: plain values in and out, every failure a TransportError.

Built on the `jira` library, whose own retries, version look-up and reloads are left out: they sleep in the calling
thread, or go by addresses that an answer names. Text goes through API version 2, which takes it as text.
https://developer.atlassian.com/cloud/jira/platform/rest/v2/
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jira
import requests
from requests.adapters import HTTPAdapter

from connectors.jira import failures
from connectors.lasting import Lasting
from connectors.port import Account, TransportError

TIMEOUT = (3.0, 6.0)  # to connect, to answer: a job of six calls ends before its lease does
NEWEST = 100  # comments and changes read at a time


@dataclass(frozen=True, slots=True)
class Author:
    """Who did something, as Jira itself says. `is_person`: an account somebody signs in with, no app and no rule."""

    account_id: str
    is_person: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment. `is_as_written`: nobody has changed it since."""

    id: str
    author: Author
    body: str
    is_as_written: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One field's change. `by_hand`: Jira names no rule or integration as its cause. Ids only where Jira gives some."""

    id: str
    author: Author
    by_hand: bool
    field: str
    before_id: str
    after_id: str
    after: str


@dataclass(frozen=True, slots=True)
class Status:
    """A status of a workflow."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Move:
    """A transition that is open to an issue now, and where it leads."""

    id: str
    name: str
    target: Status


@dataclass(frozen=True, slots=True)
class Read:
    """An issue as it is now, newest changes last. `is_whole` is false where there were more changes than are told."""

    id: str
    key: str
    status: Status
    changes: Sequence[Change]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An issue as it is called now, and who made it: one that was moved answers to its old key as well."""

    id: str
    key: str
    creator: Author

    @property
    def project(self) -> str:
        return self.key.rpartition("-")[0]


class _Connections(HTTPAdapter):
    """Connections for all sites and accounts. Sessions, with their cookies and credentials, come and go above them."""

    def close(self) -> None:
        """A session's end is not theirs."""

    def end(self) -> None:
        super().close()


CONNECTIONS = Lasting(_Connections, end=_Connections.end, idle=5.0)


class Site:
    """One account's way into one site. Making it asks nobody anything."""

    def __init__(self, account: Account) -> None:
        given = account.settings
        self.host = failures.host(given["url"])
        self._jira = jira.JIRA(
            given["url"], basic_auth=(given["email"], given["token"]), options={"rest_api_version": "2"},
            get_server_info=False, max_retries=0, timeout=TIMEOUT, logging=False,
        )  # fmt: skip
        # Without a look-up the library does not know where it is, and answers None to what only Cloud can do.
        self._jira.deploymentType = "Cloud"
        self._session: requests.Session = self._jira._session  # noqa: SLF001  it has no other door
        self._session.mount("https://", adapter := CONNECTIONS.get())
        self._session.mount("http://", adapter)
        self._session.max_redirects = 0
        self._session.hooks["response"].append(failures.refuse_pages)

    def me(self) -> Author:
        """The account we act as. An answer that names none is no answer of Jira's."""
        with self._talking():
            found = _author(self._jira.myself())
            if not found.account_id:
                raise ValueError("accountId")
            return found

    def create(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """A new issue: its id and key."""
        with self._talking():
            made = self._jira.create_issue(dict(fields), prefetch=False).raw
            return str(made["id"]), str(made["key"])

    def find(self, jql: str) -> Sequence[str]:
        """Ids of the issues that match, in its order. The index lags behind what was just made."""
        with self._talking():
            found = self._jira.enhanced_search_issues(jql, maxResults=10, fields=[], json_result=True)
            return [str(issue["id"]) for issue in found["issues"]]

    def read(self, issue: str) -> Read:
        """The issue and its latest changes."""
        with self._talking():
            return _read(self._jira.issue(issue, fields="status", expand="changelog").raw)

    def found(self, issue: str) -> Found:
        """What a key leads to."""
        with self._talking():
            told = self._jira.issue(issue, fields="creator").raw
            return Found(str(told["id"]), str(told["key"]), _author(told["fields"].get("creator")))

    def rewrite(self, issue: str, fields: Mapping[str, Any]) -> None:
        """Set these fields.

        The library's own update goes by the path the issue gives itself, which is none of the gateway's.
        """
        with self._talking():
            self._session.put(self._jira._get_url(f"issue/{issue}"), data=json.dumps({"fields": fields}))  # noqa: SLF001

    def comments(self, issue: str) -> Sequence[Comment]:
        """The newest comments, oldest first."""
        with self._talking():
            found = self._jira.comments(issue, order_by="-created", max_results=NEWEST)
            return [_comment(one.raw) for one in reversed(found)]

    def comment(self, issue: str, words: str) -> None:
        """Say something there."""
        with self._talking():
            self._jira.add_comment(issue, words)

    def moves(self, issue: str) -> Sequence[Move]:
        """The transitions open now."""
        with self._talking():
            return [Move(str(one["id"]), str(one["name"]), _status(one["to"])) for one in self._jira.transitions(issue)]

    def move(self, issue: str, move: Move) -> None:
        """Carry out a transition."""
        with self._talking():
            self._jira.transition_issue(issue, move.id)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Translate: the library's errors print headers and bodies, which are nobody's to read."""
        try:
            yield
        except TransportError:
            raise
        except (jira.JIRAError, requests.RequestException, *failures.ODD_SHAPES) as error:
            raise failures.told(error, host=self.host) from None


def _author(told: Mapping[str, Any] | None) -> Author:
    """A change without an author was made by Jira itself."""
    given = told or {}
    return Author(str(given.get("accountId") or ""), is_person=given.get("accountType") == "atlassian")


def _status(told: Mapping[str, Any]) -> Status:
    return Status(str(told["id"]), str(told["name"]))


def _comment(told: Mapping[str, Any]) -> Comment:
    author, last = _author(told.get("author")), _author(told.get("updateAuthor", told.get("author")))
    as_written = told["updated"] == told["created"] and last == author
    return Comment(str(told["id"]), author, str(told["body"]), is_as_written=as_written)


def _read(told: Mapping[str, Any]) -> Read:
    log = told["changelog"]
    entries = sorted(log["histories"], key=lambda entry: int(entry["id"]))
    changes = [_change(entry, item) for entry in entries for item in entry["items"]]
    whole = int(log["total"]) <= len(entries)
    return Read(str(told["id"]), str(told["key"]), _status(told["fields"]["status"]), changes, is_whole=whole)


def _change(entry: Mapping[str, Any], item: Mapping[str, Any]) -> Change:
    return Change(
        id=str(entry["id"]), author=_author(entry.get("author")), by_hand=not entry.get("historyMetadata"),
        field=str(item.get("fieldId") or item["field"]), before_id=str(item.get("from") or ""),
        after_id=str(item.get("to") or ""), after=str(item.get("toString") or ""),
    )  # fmt: skip
