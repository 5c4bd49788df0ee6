"""An entry of `issuers:` in, the members of its row out. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from countersign.policy.faults import Form, Path
from outbox import outward
from outbox.reachable import Forbidden
from registry import jwks
from registry.models import IssuerKind

TOKEN = ("issuer", "audience", "jwks", "jwks_url", "algorithms", "agent_claim", "principal_claim", "max_lifetime")
CERTIFICATE = ("certificate", "agent")
MAX_NAME, MAX_CLAIM = 500, 100
LONGEST = timedelta(days=1)
_USUAL = timedelta(hours=1)


def fields(form: Form, block: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """All members of the row but `active`, as `registry.describe` writes them."""
    if "certificate" in block:
        return _certificate(form, block, path)
    for name in ("issuer", "audience", "algorithms"):
        if name not in block:
            form.refuse(path, f"{name!r} is missing")
    if "agent" in block:
        form.refuse((*path, "agent"), "an agent is named by a certificate's entry; of a token its claim does", key=True)
    if ("agent_claim" in block) == ("principal_claim" in block):
        form.refuse(path, "needs either agent_claim or principal_claim: one audience proves agents, another people")
    if ("jwks" in block) == ("jwks_url" in block):
        form.refuse(path, "needs either jwks or jwks_url")
    return {
        "kind": IssuerKind.JWT.value,
        "issuer": _name(form, block, path, "issuer"),
        "audience": _name(form, block, path, "audience"),
        "jwks": _keys(form, block["jwks"], (*path, "jwks")) if "jwks" in block else {},
        "jwks_url": _url(form, block["jwks_url"], (*path, "jwks_url")) if "jwks_url" in block else "",
        "algorithms": _algorithms(form, block, path),
        "agent_claim": _name(form, block, path, "agent_claim", MAX_CLAIM),
        "principal_claim": _name(form, block, path, "principal_claim", MAX_CLAIM),
        "max_lifetime": _lifetime(form, block, path),
    }


def _certificate(form: Form, block: Mapping[str, Any], path: Path) -> dict[str, Any]:
    for name in TOKEN:
        if name in block:
            form.refuse((*path, name), f"an entry has either certificate or issuer; {name} is for tokens", key=True)
    if "agent" not in block:
        form.refuse(path, "'agent' is missing")
    return {
        "kind": IssuerKind.CERTIFICATE.value,
        "issuer": _name(form, block, path, "certificate"),
        "agent": _name(form, block, path, "agent"),
    }


def _name(form: Form, block: Mapping[str, Any], path: Path, name: str, most: int = MAX_NAME) -> str:
    """What is compared exactly, letter by letter: so no letter may be one that nobody sees."""
    if name not in block:
        return ""
    text = form.text(block[name], (*path, name))
    if len(text) > most:
        form.refuse((*path, name), f"longer than {most} characters")
    elif not text.isprintable() or text != text.strip():
        form.refuse((*path, name), f"{text!r}: no control characters or space at the ends")
    return text


def _keys(form: Form, value: object, path: Path) -> Mapping[str, Any]:
    try:
        jwks.read(value)
    except jwks.BadKeys as error:
        form.refuse(path, str(error))
        return {}
    assert isinstance(value, Mapping)
    return value


def _url(form: Form, value: object, path: Path) -> str:
    url = form.text(value, path)
    if url:
        try:
            outward.parse(url)
        except Forbidden as error:
            form.refuse(path, str(error))
    return url


def _algorithms(form: Form, block: Mapping[str, Any], path: Path) -> list[str]:
    names = form.texts(block["algorithms"], (*path, "algorithms")) if "algorithms" in block else ()
    for n, name in enumerate(names):
        if name not in jwks.ALGORITHMS:
            form.refuse((*path, "algorithms", n), f"must be one of {', '.join(jwks.ALGORITHMS)}")
    return sorted(names)


def _lifetime(form: Form, block: Mapping[str, Any], path: Path) -> int:
    if "max_lifetime" not in block:
        return int(_USUAL.total_seconds())
    return int(form.duration(block["max_lifetime"], (*path, "max_lifetime"), most=LONGEST).total_seconds())
