"""Members that entries of a blueprint have in common: read, or refused at their place. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from countersign.policy.faults import Form, Path

MAX_ID, MAX_NAME = 200, 100


def texts(form: Form, block: Mapping[str, Any], path: Path, name: str) -> Sequence[str]:
    """A list that may be absent or empty."""
    return form.texts(block[name], (*path, name)) if block.get(name, ()) not in ((), []) else ()


def active(form: Form, block: Mapping[str, Any], path: Path) -> dict[str, bool]:
    """Only if written: applying a blueprint again does not revive what somebody switched off."""
    return {"active": form.flag(block["active"], (*path, "active"))} if "active" in block else {}


def identifier(form: Form, block: Mapping[str, Any], path: Path, name: str, most: int) -> str:
    """A name that is shown to people and matched by globs: printable, no space at its ends, no star."""
    if name not in block:
        return ""
    text = form.text(block[name], (*path, name))
    if len(text) > most:
        form.refuse((*path, name), f"longer than {most} characters")
    elif not text.isprintable() or text != text.strip() or "*" in text:
        form.refuse((*path, name), f"{text!r}: no control characters, stars or space at the ends")
    return text


def matching(form: Form, value: object, path: Path, pattern: str, wanted: str) -> str:
    text = form.text(value, path)
    if text and not re.fullmatch(pattern, text):
        form.refuse(path, f"{text!r}: expected {wanted}")
    return text
