"""A URL in, why it is refused (or None) out: allow and deny globs over a normalised form that has one reading only."""

import re
from dataclasses import dataclass, field
from typing import Any

import re2

MAX_CHARACTERS = 8192

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?\Z", re.IGNORECASE)
_AUTHORITY = re.compile(r"([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])\.?(?::([0-9]{1,5}))?\Z")
_AUTHORITY_GLOB = re.compile(r"(?:\*|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?\Z")
_ALLOW = re.compile(r"(https?)://([^/?#*]*(?:\*[^/?#*]*)?)(/[^?#]*)\Z", re.IGNORECASE)
_PERCENT = re.compile(r"%(..?)?", re.DOTALL)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = {"http": 80, "https": 443}


class _RefusedError(Exception):
    """The URL has no single reading; the text says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """An argument rule `endpoints:`. `*` matches any run of characters within scheme and host or within the path."""

    allow: tuple[str, ...]
    deny: tuple[str, ...] = ()
    _allowed: tuple[tuple[str, Any, Any], ...] = field(init=False, repr=False, compare=False)
    _denied: tuple[Any, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", tuple(_allow(glob) for glob in self.allow))
        object.__setattr__(self, "_denied", tuple(_glob(glob, ignore_case=True) for glob in self.deny))

    def refusal(self, url: str) -> str | None:
        """Why `url` is refused, without quoting it; None if it may pass."""
        try:
            scheme, authority, path, query = _normalised(url)
        except _RefusedError as refused:
            return str(refused)
        for allowed_scheme, authorities, paths in self._allowed:
            if scheme == allowed_scheme and authorities.fullmatch(authority) and paths.fullmatch(path):
                break
        else:
            return "the URL is not among the allowed endpoints"
        bare = f"{scheme}://{authority}{path}"
        if any(glob.fullmatch(bare) or glob.fullmatch(bare + query) for glob in self._denied):
            return "the URL is among the denied endpoints"
        return None


def unusable(glob: str, *, allow: bool = True) -> str | None:
    """Why a glob cannot be used, or None. An allow glob names scheme, host and path, so that none can stand in for
    another: `https://*.acme.test/*` must not be satisfied by a path that ends in `.acme.test`.
    """
    if not glob.isascii() or not glob.isprintable() or " " in glob:
        return "a URL glob is printable ASCII without spaces"
    if not allow:
        return None
    found = _ALLOW.match(glob)
    if found is None:
        return "an allow glob names scheme, host and path, such as https://api.acme.test/v1/*"
    if not _AUTHORITY_GLOB.match(found[2].lower()):
        return "in the host, `*` may only stand alone or for the leading labels, such as *.acme.test"
    return None


def _allow(glob: str) -> tuple[str, Any, Any]:
    found, why = _ALLOW.match(glob), unusable(glob)
    if found is None or why:
        raise ValueError(why)
    scheme = found[1].lower()
    return scheme, _glob(_without_default_port(found[2].lower(), scheme)), _glob(found[3])


def _glob(glob: str, *, ignore_case: bool = False) -> Any:
    body = ".*".join(re2.escape(part) for part in glob.split("*"))
    return re2.compile(f"(?si){body}" if ignore_case else f"(?s){body}")


def _without_default_port(authority: str, scheme: str) -> str:
    return authority.removesuffix(f":{_PORTS[scheme]}")


def _normalised(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query (with `?`) as every careful reader would see them. Raises _RefusedError."""
    if len(url) > MAX_CHARACTERS:
        raise _RefusedError(f"the URL is longer than {MAX_CHARACTERS:,} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _RefusedError("the URL holds a space, a backslash or a character that must be percent-encoded")
    found = _URL.match(url)
    if found is None:
        raise _RefusedError("only http and https URLs may pass")
    scheme = found[1].lower()
    return scheme, _authority(found[2], scheme), _path(found[3] or "/"), _decoded(found[4] or "", path=False)


def _authority(text: str, scheme: str) -> str:
    if "@" in text:
        raise _RefusedError("a URL with a user name before the host may not pass")
    found = _AUTHORITY.match(text.lower())
    if found is None:
        raise _RefusedError("the URL's host cannot be read")
    port = int(found[2]) if found[2] else _PORTS[scheme]
    if port == 0 or port > 65535:  # noqa: PLR2004 -- the last port there is
        raise _RefusedError("the URL's port cannot be read")
    return found[1] if port == _PORTS[scheme] else f"{found[1]}:{port}"


def _path(text: str) -> str:
    kept: list[str] = []
    segments = _decoded(text, path=True).split("/")[1:]
    for n, segment in enumerate(segments):
        last = n == len(segments) - 1
        if segment in (".", ".."):
            if segment == ".." and kept:
                kept.pop()
            kept += [""] if last else []
        elif segment.startswith((".;", "..;")) or (segment == "" and not last):
            raise _RefusedError("the URL's path can be read in more than one way")
        else:
            kept.append(segment)
    return "/" + "/".join(kept)


def _decoded(text: str, *, path: bool) -> str:
    """Unreserved characters decoded, other escapes in capitals; in a path nothing that decodes to a separator."""

    def one(found: re.Match[str]) -> str:
        digits = found[1] or ""
        if len(digits) != 2 or not re.fullmatch(r"[0-9A-Fa-f]{2}", digits):  # noqa: PLR2004 -- two hex digits
            raise _RefusedError("the URL holds a broken percent escape")
        byte = int(digits, 16)
        if byte in _UNRESERVED:
            return chr(byte)
        if path and (byte in b"/\\%;?#" or byte < 0x20 or byte == 0x7F):  # noqa: PLR2004 -- ASCII controls
            raise _RefusedError("the URL's path hides a separator or a control character in an escape")
        return f"%{digits.upper()}"

    return _PERCENT.sub(one, text)
