"""The state of one Jira site, and what people and rules do to it: comment, move, edit. No HTTP in here."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from examples.lookalikes.faults import Faults

Json = dict[str, Any]
Emit = Callable[[str, Json], None]
LONGEST_TEXT, LONGEST_SUMMARY, LONGEST_LABEL, PAGE = 32_767, 255, 255, 100


class Refused(Exception):
    """What Jira answers instead of doing it."""

    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(*messages)
        self.status = status
        self.body: Json = {"errorMessages": list(messages), "errors": dict(errors or {})}


@dataclass(frozen=True)
class Person:
    """Somebody who can act. `type`: atlassian for people, app for rules and apps, customer for portal customers."""

    id: str
    name: str
    type: str = "atlassian"


@dataclass(frozen=True)
class Move:
    """A transition. Without `sources` it leads from every status to its target."""

    id: str
    name: str
    target: str
    sources: tuple[str, ...] = ()


# The workflow most teams have: a decision is one step away, and can be taken back.
WORKFLOW = (
    Move("11", "Approve", "Approved", ("To Do",)),
    Move("21", "Decline", "Declined", ("To Do",)),
    Move("31", "Close", "Closed", ("To Do", "Approved", "Declined")),
    Move("41", "Back to work", "To Do", ("Approved", "Declined", "Closed")),
)


@dataclass
class Project:
    key: str
    types: tuple[str, ...] = ("Task", "Service Request")
    moves: tuple[Move, ...] = WORKFLOW
    first_status: str = "To Do"
    issues: int = 0

    @property
    def statuses(self) -> dict[str, str]:
        """Names to ids; the order of the workflow gives the ids."""
        names = dict.fromkeys((self.first_status, *(move.target for move in self.moves)))
        return {name: str(10_000 + place) for place, name in enumerate(names)}


@dataclass
class Comment:
    id: str
    author: Person
    body: str
    created: str
    updated: str
    updated_by: Person


@dataclass
class Issue:
    id: str
    key: str
    project: Project
    creator: Person
    fields: Json
    status: str
    created: str
    indexed_at: float
    comments: list[Comment] = field(default_factory=list)
    history: list[Json] = field(default_factory=list)
    old_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Called:
    """One call the connector made."""

    where: str
    path: str
    body: Any
    status: int


class Site:
    """One site. Everything that changes it holds `lock`; `emit` is told of each event."""

    def __init__(self, *, index_delay: float = 0.0, storm: bool | None = False) -> None:
        self.lock = threading.RLock()
        self.base_url = ""
        self.scoped = False  # whether the token has scopes: those work at the gateway alone
        self.cloud_id = secrets.token_hex(8)
        self.email, self.token = "countersign@acme.test", f"ATATT-lookalike-{secrets.token_hex(12)}"
        self.bot = Person(f"712020:{secrets.token_hex(8)}", "Countersign")
        self.people: dict[str, Person] = {self.bot.id: self.bot}
        self.projects: dict[str, Project] = {}
        self.issues: dict[str, Issue] = {}
        self.calls: list[Called] = []
        self.faults = Faults("jira", storm=storm)
        self.index_delay = index_delay
        self.emit: Emit = lambda _event, _payload: None
        self._last_id = 10_000
        self._last_at = 0

    # --- setting up

    def add_project(self, key: str, *, moves: Sequence[Move] = WORKFLOW) -> Project:
        self.projects[key] = Project(key, moves=tuple(moves))
        return self.projects[key]

    def add_person(self, name: str, *, kind: str = "atlassian") -> Person:
        person = Person(f"5b10:{secrets.token_hex(8)}", name, kind)
        self.people[person.id] = person
        return person

    # --- reading

    def issue(self, name: str) -> Issue:
        """By id or key. Raises Refused."""
        for issue in self.issues.values():
            if name in {issue.id, issue.key, *issue.old_keys}:
                return issue
        raise Refused(404, "Issue does not exist or you do not have permission to see it.")

    def moves(self, issue: Issue) -> list[Move]:
        """The transitions that are open to it now."""
        return [move for move in issue.project.moves if not move.sources or issue.status in move.sources]

    def the_only_issue(self) -> Issue:
        (issue,) = self.issues.values()
        return issue

    # --- acting, as the API or a person in the browser

    def create(self, fields: Json, *, by: Person) -> Issue:
        with self.lock:
            project = self.projects[fields["project"]["key"]]
            project.issues += 1
            issue = Issue(
                id=self.next_id(),
                key=f"{project.key}-{project.issues}",
                project=project,
                creator=by,
                fields=fields,
                status=project.first_status,
                created=self.now(),
                indexed_at=time.monotonic() + self.index_delay,
            )
            self.issues[issue.id] = issue
            self.emit("jira:issue_created", self._event(issue, by, issue_event_type_name="issue_created"))
            return issue

    def edit(self, issue: Issue, fields: Mapping[str, Any], *, by: Person) -> None:
        with self.lock:
            changed = {name: value for name, value in fields.items() if issue.fields.get(name) != value}
            items = [_item(name, str(issue.fields.get(name, "")), str(value)) for name, value in changed.items()]
            issue.fields.update(changed)
            if items:
                self._changed(issue, items, by=by)

    def move(self, issue: Issue, move_id: str, *, by: Person, cause: Mapping[str, Any] | None = None) -> None:
        """Raises Refused where this transition is not open now. `cause` is what a rule leaves in the history."""
        with self.lock:
            wanted = [move for move in self.moves(issue) if move.id == move_id]
            if not wanted:
                words = f"It seems that you have tried to perform a workflow operation ({move_id}) that is not valid."
                raise Refused(400, words)
            before, issue.status = issue.status, wanted[0].target
            ids = issue.project.statuses
            item = _item("status", before, issue.status) | {"from": ids[before], "to": ids[issue.status]}
            self._changed(issue, [item], by=by, cause=cause)

    def carry(self, issue: Issue, project: Project) -> None:
        """Into another project, where it has another key. The old one leads to it for ever."""
        with self.lock:
            issue.old_keys.append(issue.key)
            project.issues += 1
            issue.project, issue.key = project, f"{project.key}-{project.issues}"

    def comment(self, issue: Issue, body: str, *, by: Person) -> Comment:
        with self.lock:
            at = self.now()
            comment = Comment(self.next_id(), by, body, at, at, by)
            issue.comments.append(comment)
            self.emit("comment_created", self._comment_event(issue, comment))
            return comment

    def edit_comment(self, issue: Issue, comment: Comment, body: str, *, by: Person) -> None:
        with self.lock:
            comment.body, comment.updated, comment.updated_by = body, self.now(), by
            self.emit("comment_updated", self._comment_event(issue, comment))

    def delete(self, issue: Issue, *, by: Person) -> None:
        with self.lock:
            del self.issues[issue.id]
            self.emit("jira:issue_deleted", self._event(issue, by))

    def moved_by_name(self, issue: Issue, name: str, *, by: Person, cause: Mapping[str, Any] | None = None) -> None:
        """As a person does it: by the button's name."""
        (move,) = [move for move in self.moves(issue) if move.name == name]
        self.move(issue, move.id, by=by, cause=cause)

    # --- parts

    def next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def now(self) -> str:
        """Jira's own way to write a time; never the same twice, so that an edit is later than what it edits."""
        self._last_at = max(time.time_ns() // 1_000_000, self._last_at + 1)
        return datetime.fromtimestamp(self._last_at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"

    def _changed(self, issue: Issue, items: list[Json], *, by: Person, cause: Mapping[str, Any] | None = None) -> None:
        entry: Json = {"id": self.next_id(), "author": user(by), "created": self.now(), "items": items}
        if cause:
            entry["historyMetadata"] = dict(cause)
        issue.history.append(entry)
        told = {"changelog": {"id": entry["id"], "items": items}}
        self.emit("jira:issue_updated", self._event(issue, by, issue_event_type_name="issue_generic", **told))

    def _event(self, issue: Issue, by: Person, **more: Any) -> Json:
        return {"timestamp": time.time_ns() // 1_000_000, "user": user(by), "issue": self.shown(issue), **more}

    def _comment_event(self, issue: Issue, comment: Comment) -> Json:
        at = time.time_ns() // 1_000_000
        brief = {"id": issue.id, "key": issue.key, "fields": {"summary": issue.fields["summary"]}}
        return {"timestamp": at, "comment": shown_comment(comment), "issue": brief}

    def shown(self, issue: Issue) -> Json:
        """An issue as the API writes it, with all fields."""
        status = {"name": issue.status, "id": issue.project.statuses[issue.status]}
        known = {"labels": [], "description": None} | issue.fields
        fields = known | {"status": status, "creator": user(issue.creator), "created": issue.created}
        return {
            "id": issue.id,
            "key": issue.key,
            "self": f"{self.base_url}/rest/api/2/issue/{issue.id}",
            "fields": fields,
        }


def user(person: Person) -> Json:
    return {"accountId": person.id, "displayName": person.name, "accountType": person.type, "active": True}


def shown_comment(comment: Comment) -> Json:
    return {
        "id": comment.id, "author": user(comment.author), "body": comment.body, "created": comment.created,
        "updateAuthor": user(comment.updated_by), "updated": comment.updated, "jsdPublic": True,
    }  # fmt: skip


def _item(name: str, before: str, after: str) -> Json:
    return {"field": name, "fieldId": name, "fieldtype": "jira", "fromString": before, "toString": after}
