"""An issuer in, its public keys out: as registered, or as its address tells them; fetched beside the event loop.

What was fetched is remembered in this process. It is fetched anew after an hour, or when a token names a key that is
not in it, at most once a minute; while the issuer does not answer, the last good copy serves for a day and no longer.
Whoever needs keys that are being fetched waits for that one fetch, holding no thread.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from django.conf import settings

from countersign.proof import canonical
from enforcement.problems import unavailable
from outbox import outward, reachable
from registry import jwks
from registry.jwks import Key
from registry.snapshot import IssuerView

log = logging.getLogger(__name__)

FRESH = 3600.0  # seconds after which a copy is fetched anew
KEPT = 86_400.0  # seconds for which the last good copy serves, if the issuer does not answer
PAUSE = 60.0  # seconds between two tries, whatever tokens name
MAX_BYTES = 262_144
MAX_SETS = 256
_OK = 200


@dataclass(frozen=True, slots=True)
class _Copy:
    """Keys as they were fetched (none: never), when that was, and when it was last tried."""

    keys: tuple[Key, ...]
    fetched: float
    tried: float


_copies: OrderedDict[str, _Copy] = OrderedDict()
_under_way: dict[str, "Future[_Copy]"] = {}
_guard = threading.Lock()
_now = time.monotonic
_fetching = ThreadPoolExecutor(max_workers=2, thread_name_prefix="jwks")


async def of(view: IssuerView, *, lacking: bool = False) -> tuple[Key, ...]:
    """The issuer's keys; `lacking`: those at hand are not enough. Raises Problem (503) where none are to be had."""
    if not view.jwks_url:
        return _registered(view)
    copy = _copies.get(view.jwks_url)
    if copy is None or _is_due(copy, lacking=lacking):
        copy = await asyncio.shield(asyncio.wrap_future(_fetch(view.jwks_url)))
    if not copy.keys or _now() - copy.fetched > KEPT:
        raise unavailable("The keys of this token's issuer cannot be fetched; try again.")
    return copy.keys


def forget() -> None:
    """Drop what was fetched."""
    with _guard:
        _copies.clear()


def _registered(view: IssuerView) -> tuple[Key, ...]:
    """A row written by hand may hold anything; then no token of it holds."""
    try:
        return jwks.read(view.jwks)
    except jwks.BadKeys:
        return ()


def _is_due(copy: _Copy, *, lacking: bool) -> bool:
    now = _now()
    old = lacking or not copy.keys or now - copy.fetched > FRESH
    return old and now - copy.tried > PAUSE


def _fetch(url: str) -> "Future[_Copy]":
    """The fetch that is under way, or a new one."""
    with _guard:
        future = _under_way.get(url)
        if future is None:
            future = _under_way[url] = _fetching.submit(_fetched, url)
        return future


def _fetched(url: str) -> _Copy:
    """The newest copy there is, kept; with the old one's keys if there is no newer."""
    keys: tuple[Key, ...] = ()
    try:
        keys = _asked_for(url)
    except (reachable.Unreachable, canonical.NotCanonical, jwks.BadKeys) as error:
        log.warning("the keys of an issuer could not be fetched: %s", error)
    except Exception:
        log.exception("the keys of an issuer could not be fetched in a way nobody foresaw")
    now = _now()
    with _guard:
        before = _copies.pop(url, None)
        copy = _Copy(keys, now, now) if keys or before is None else _Copy(before.keys, before.fetched, now)
        _copies[url] = copy
        while len(_copies) > MAX_SETS:
            _copies.popitem(last=False)
        _under_way.pop(url, None)
    return copy


def _asked_for(url: str) -> tuple[Key, ...]:
    allowed = reachable.networks(settings.COUNTERSIGN.issuer_networks)
    status, body = outward.fetch(url, headers={"accept": "application/json"}, allowed=allowed, most=MAX_BYTES)
    if status != _OK:
        raise reachable.Unreachable(f"the answer was {status}, not {_OK}")
    return jwks.read(canonical.loads(body))
