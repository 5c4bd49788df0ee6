"""The Slack look-alike in a thread, with hands: a test presses, submits and types as a person, and reads what is seen."""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from examples.lookalikes.faults import Fault
from examples.lookalikes.slack import acting, filling, payloads
from examples.lookalikes.slack.acme import APPROVALS, acme, user_id
from examples.lookalikes.slack.sending import deliver, signed
from examples.lookalikes.slack.server import serving
from examples.lookalikes.slack.socket import Sockets
from examples.lookalikes.slack.workspace import Called, Delivered, Json, Message, View

PATIENCE = 30.0


class SlackWorld:
    """A context manager. `request_url` may be set at any time: where the app under test listens.

    People are named as in the quickstart (`"erin"`); a message by its `ts`. Nothing here bypasses HTTP: acts are
    signed and posted to `request_url`, and the app calls back to `api_url`. `storm` None: as the environment says.
    """

    def __init__(self, *, storm: bool | None = None, **settings: Any) -> None:
        self.workspace = acme(storm=storm, **{"retry_after": (0.05, 0.05, 0.05), **settings})
        self.sockets = Sockets()
        self._loop = asyncio.new_event_loop()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stop: asyncio.Event
        self.pressed: Callable[[], None] = lambda: None
        """What is called after each press: the app acts behind its answer, and a test may wait for that."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        try:
            async with serving(self.workspace, sockets=self.sockets):
                self._ready.set_result(None)
                await self._stop.wait()
        except OSError as error:
            self._ready.set_exception(error)

    @property
    def url(self) -> str:
        return self.workspace.base_url

    @property
    def api_url(self) -> str:
        """What `COUNTERSIGN_SLACK_API_URL` is set to."""
        return f"{self.url}/api/"

    @property
    def settings(self) -> dict[str, str]:
        """An account's settings, as the connector is given them."""
        held = self.workspace
        return {"bot_token": held.bot_token, "signing_secret": held.signing_secret, "app_token": held.app_token,
                "api_url": self.api_url, "team": held.team_id}  # fmt: skip

    def begin(self, act: Coroutine[Any, Any, Any]) -> "concurrent.futures.Future[Any]":
        """Start an act and go on: for races."""
        return asyncio.run_coroutine_threadsafe(act, self._loop)

    def _do(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.begin(act).result(PATIENCE)

    # What people do. Each returns what was told to the app, and its answer.

    def press(self, who: str, ts: str, action_id: str, **how: Any) -> Delivered:
        """Click. `stale=True`: on the message as first shown; `value=`: what is chosen in a select."""
        told = self._do(acting.press(self.workspace, self.sockets, user_id(who), ts, action_id, **how))
        self.pressed()
        return told

    def press_in_view(self, who: str, action_id: str, *, view: str | None = None, **how: Any) -> Delivered:
        """Click in the open modal, or in `view` (an App Home)."""
        name = view or self.modal(who).id
        told = self._do(acting.press_in_view(self.workspace, self.sockets, user_id(who), name, action_id, **how))
        self.pressed()
        return told

    def submit(self, who: str, **values: str) -> Delivered:
        """Send the open modal; values by action id. Raises Impossible where Slack's client stops a person."""
        return self._do(acting.submit(self.workspace, self.sockets, user_id(who), values))

    def close(self, who: str) -> Delivered | None:
        return self._do(acting.close(self.workspace, self.sockets, user_id(who)))

    def command(self, who: str, line: str, *, channel: str = APPROVALS) -> Delivered:
        return self._do(acting.command(self.workspace, self.sockets, user_id(who), channel, line))

    def open_home(self, who: str) -> Delivered:
        return self._do(acting.open_home(self.workspace, self.sockets, user_id(who)))

    def say(self, who: str, text: str, *, channel: str = APPROVALS) -> Message:
        return acting.say(self.workspace, user_id(who), channel, text)

    def deliver(self, payload: Json) -> Delivered:
        """Tell the app anything, rightly signed."""
        told = self._do(deliver(self.workspace, self.sockets, payload))
        self.pressed()
        return told

    # The same as bytes, for tests that post them themselves, change them, or send them twice.

    def signed(
        self, payload: Json, *, at: float | None = None, secret: str | None = None
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers, `Content-Type` included."""
        body, content_type = payloads.body_of(payload)
        key = self.workspace.signing_secret if secret is None else secret
        return body, {"Content-Type": content_type, **signed(key, body, at=at)}

    def press_payload(self, who: str, ts: str, action_id: str, **how: Any) -> Json:
        return acting.press_payload(self.workspace, user_id(who), ts, action_id, **how)

    def submit_payload(self, who: str, **values: str) -> Json:
        return acting.submit_payload(self.workspace, user_id(who), values)

    def command_payload(self, who: str, line: str, *, channel: str = APPROVALS) -> Json:
        return payloads.command(self.workspace, user_id(who), channel, line)

    # What is seen.

    def messages(self, channel: str = APPROVALS, *, who: str | None = None) -> list[Message]:
        """Oldest first, threads included. `who`: what that person sees, ephemeral ones too; else what all see."""
        with self.workspace.lock:
            if who:
                return list(self.workspace.seen_by(user_id(who), channel))
            return [m for m in self.workspace.messages if m.channel == channel and not m.deleted and not m.only_for]

    def only_for(self, who: str) -> list[Message]:
        """The ephemeral messages of one person."""
        return [m for m in self.workspace.messages if m.only_for == user_id(who) and not m.deleted]

    def modal(self, who: str) -> View:
        view = self.workspace.top_view(user_id(who))
        assert view, f"{who} has no modal open"
        return view

    def has_modal(self, who: str) -> bool:
        return self.workspace.top_view(user_id(who)) is not None

    def home(self, who: str) -> View | None:
        return self.workspace.views.get(self.workspace.homes.get(user_id(who), ""))

    def calls(self, method: str) -> list[Called]:
        """What the app called, in order, with what it was answered."""
        return [call for call in list(self.workspace.calls) if call.method == method]

    def fault(self, where: str, **what: Any) -> None:
        """`fault("chat.*", status=429, retry_after=1)`; see `Fault` for the rest."""
        self.workspace.faults.add(Fault(where, **what))

    def until(self, condition: Callable[[], object], *, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("what was waited for did not come")
            time.sleep(0.01)


def actions_in(blocks: list[Json]) -> list[str]:
    """The action ids on a message or view, in order: what can be pressed there."""
    return [element["action_id"] for _, element in filling.elements_of(blocks)]


def words_in(blocks: list[Json]) -> str:
    """Every text in blocks, one a line, as sent."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") in {"plain_text", "mrkdwn"}:
                found.append(value["text"])
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(blocks)
    return "\n".join(found)


@contextmanager
def slack_world(**settings: Any) -> Iterator[SlackWorld]:
    with SlackWorld(**settings) as world:
        yield world
