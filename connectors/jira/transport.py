"""What connectors ask of every system, done with issues: one for each request, rewritten, commented and moved."""

from collections.abc import Sequence

from connectors import plain
from connectors.jira import board, card, elsewhere
from connectors.jira.api import Site
from connectors.port import ABOUT, Account, Name, Place, Ref, Reply, Told, TransportError, Waiting

_PENDING = "pending"


class Jira:
    """One tenant's Jira site. A ref is `{id, key, account, comments, seen}` and, for outcomes, `approved_to` …

    `comments` names the moments told; `seen` is the display hash once the issue shows all of it, else empty: no answer
    counts from an issue that shows less. `account` is who we were there; what that account does is never an answer.
    """

    def __init__(self, account: Account) -> None:
        self.site = Site(account)
        self._email = account.settings["email"]

    def post(self, place: Place, told: Told) -> Ref:
        """A new issue. The story so far stands in its description."""
        account = self.site.me().account_id
        issue, key = self.site.create(card.fields(place, told))
        ref = {"id": issue, "key": key, "account": account, "comments": _names(told), "seen": _seen(told)}
        return ref | self._begun(place, ref, told)

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:
        """Rewrite the issue, comment what happened since, and move it once there is an outcome."""
        issue, account = ref["id"], ref.get("account") or self.site.me().account_id
        self.site.rewrite(issue, card.shown(told))
        known = ref.get("comments", "").split()
        lines = [line for name, line in card.moments(told) if name not in known]
        lines += self._settled(place, ref, told)
        if lines:
            board.say_once(self.site, issue, lines, me=account)
        now = {**ref, "account": account, "comments": _names(told), "seen": _seen(told)}
        return now if told.status != _PENDING or _knows(place, ref) else now | self._targets(place, issue)

    def find(self, place: Place, name: Name) -> Ref | None:
        """By the label of that name, among what we made: anybody may put that label on an issue of theirs."""
        wanted = f'project = "{_quoted(place)}" AND labels = "{name.id}" AND creator = currentUser()'
        found = self.site.find(f"{wanted} ORDER BY created ASC")
        if not found:
            return None
        read = self.site.read(found[0])
        return {"id": read.id, "key": read.key, "comments": "", "seen": ""}

    def say(self, place: Place, words: str) -> None:
        """A comment at the issue it is about; where it is about none, Jira has no other way than an issue."""
        about = place.config.get(ABOUT)
        if about:
            self.site.comment(about["id"], card.remark(words))
        else:
            self.site.create(card.message(place, words))

    def digest(self, place: Place, ref: Ref | None, waiting: Waiting, *, name: Name) -> Ref:
        """One issue that stands for many requests, rewritten as they come and go."""
        words = plain.waiting(waiting)
        if ref:
            self.site.rewrite(ref["id"], card.said(words, link=waiting.link))
            return ref
        issue, key = self.site.create(card.message(place, words, link=waiting.link, name=name.id))
        return {"id": issue, "key": key}

    def reply(self, reply: Reply) -> None:
        """A comment at an issue that somebody else made."""
        elsewhere.reply(self.site, reply)

    def check(self) -> str:
        """Whether the address, the account and the token fit together."""
        self.site.me()
        return f"{self.site.host} answers; signed in as {self._email}."

    def _begun(self, place: Place, ref: Ref, told: Told) -> dict[str, str]:
        """What is left of a first telling: a late one may be of a request that is over.

        The issue is there now, so a failure must not say when to come again as if it had been turned away.
        """
        try:
            if told.status == _PENDING:
                return self._targets(place, ref["id"])
            lines = self._settled(place, ref, told)
            if lines:
                board.say_once(self.site, ref["id"], lines, me=ref["account"])
        except TransportError as error:
            raise TransportError(str(error), permanent=error.permanent) from None
        return {}

    def _settled(self, place: Place, ref: Ref, told: Told) -> Sequence[str]:
        name = card.outcomes(place.config).get(told.status)
        if told.status == _PENDING or name is None:
            return ()
        words = board.settle(self.site, ref["id"], name=name, target_id=ref.get(f"{told.status}_to", ""))
        return (card.own(words),) if words else ()

    def _targets(self, place: Place, issue: str) -> dict[str, str]:
        """Which statuses the named transitions lead to, or what people move would be taken for nothing.

        Only where Jira will never tell do we go without.
        """
        wanted = card.outcomes(place.config)
        try:
            moves = self.site.moves(issue) if wanted else ()
        except TransportError as error:
            if not error.permanent:
                raise
            return {}
        found = {status: board.leading(moves, name) for status, name in wanted.items()}
        return {f"{status}_to": move.target.id for status, move in found.items() if move}


def open_(account: Account) -> Jira:
    """The tenant's site, not asked anything yet."""
    return Jira(account)


def _names(told: Told) -> str:
    return " ".join(name for name, _ in card.moments(told))


def _seen(told: Told) -> str:
    return told.display_hash if card.is_whole(told) else ""


def _knows(place: Place, ref: Ref) -> bool:
    return all(f"{status}_to" in ref for status in card.outcomes(place.config))


def _quoted(place: Place) -> str:
    """A project key is letters, digits and _; what else a blueprint says would leave the quotes."""
    return str(place.config["project"]).replace("\\", "").replace('"', "")
