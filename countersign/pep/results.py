"""An MCP tool's result and what an allow obliges to make of it in; the result as the agent may have it out. Pure.

Servers tell one value in several ways: as structured content, bare or, if it is no object, as `{"result": value}`; once
more as text; a list as a text for each element. Whichever of them a path was written for, the part that it names is
taken out of all. What is no text (images, audio, resources) cannot be looked into, so that redacting leaves nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import mcp_types as types

from countersign.pep.shaping import PLAIN, Shape, json_in
from countersign.policy.obligations import ANY, Pointer

WRAP: Final = "result"


def shaped(result: types.CallToolResult, shape: Shape) -> types.CallToolResult:
    """Redacted, and no longer than the cap. Raises Withheld for one that must not be handed on at all."""
    if shape == PLAIN:
        return result
    if shape.redacts:
        result = _redacted(result, replace(shape, most=None))
    Shape(most=shape.most).of(result.model_dump(by_alias=True, mode="json", exclude_none=True))
    return result


def _redacted(result: types.CallToolResult, shape: Shape) -> types.CallToolResult:
    """A result made anew: notes that a server hangs on it (`_meta`, annotations) are nobody's to vouch for."""
    structured = result.structured_content
    pieces = structured is None or _wraps(structured)
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=_block(one, shape, pieces=pieces)) for one in result.content],
        structured_content=None if structured is None else _structured(structured, shape),
        is_error=result.is_error,
    )


def _structured(structured: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    if _wraps(structured) and isinstance(structured[WRAP], str):
        return {WRAP: _text(structured[WRAP], shape, pieces=True)}
    redacted: dict[str, Any] = _aimed(shape, structured, pieces=False).redacted(structured)
    return redacted


def _block(block: types.ContentBlock, shape: Shape, *, pieces: bool) -> str:
    if not isinstance(block, types.TextContent):
        return f"[withheld: {block.type}]"
    return _text(block.text, shape, pieces=pieces)


def _text(text: str, shape: Shape, *, pieces: bool) -> str:
    return _aimed(shape, json_in(text), pieces=pieces).words(text)


def _aimed(shape: Shape, document: Any, *, pieces: bool) -> Shape:
    """The shape with its pointers as they read in this document too. `pieces`: it may be one element of a list."""
    found = [one for pointer in shape.pointers for one in _readings(pointer, document, pieces=pieces)]
    return replace(shape, pointers=tuple(found))


def _readings(pointer: Pointer, document: Any, *, pieces: bool) -> Iterator[Pointer]:
    yield pointer
    if _wraps(document):
        yield (WRAP, *pointer)
    bare = pointer
    if pointer[0] == WRAP and not (isinstance(document, dict) and WRAP in document):
        yield (bare := pointer[1:])
    if pieces and isinstance(document, dict) and bare and (bare[0] == ANY or bare[0].isdigit()):
        yield bare[1:]


def _wraps(document: Any) -> bool:
    return isinstance(document, dict) and document.keys() == {WRAP}
