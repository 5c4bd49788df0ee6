"""An MCP tool's result and what an allow obliges to make of it in; the result as the agent may have it out. Pure.

A text that is JSON is read as JSON, for servers tell structured content once more as text. What is no text (images,
audio, resources) cannot be looked into, so that redacting leaves nothing of it.
"""

import json
from typing import Any

import mcp_types as types

from countersign.pep.shaping import PLAIN, Shape, Withheld
from countersign.proof import canonical


def shaped(result: types.CallToolResult, shape: Shape) -> types.CallToolResult:
    """Redacted, and no longer than the cap. Raises Withheld for one that must not be handed on at all."""
    if shape == PLAIN:
        return result
    if shape.redacts:
        result = _redacted(result, shape)
    Shape(most=shape.most).of(result.model_dump(by_alias=True, mode="json", exclude_none=True))
    return result


def _redacted(result: types.CallToolResult, shape: Shape) -> types.CallToolResult:
    """A result made anew: notes that a server hangs on it (`_meta`, annotations) are nobody's to vouch for."""
    structured = result.structured_content
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=_text(block, shape)) for block in result.content],
        structured_content=None if structured is None else shape.redacted(structured),
        is_error=result.is_error,
    )


def _text(block: Any, shape: Shape) -> str:
    if not isinstance(block, types.TextContent):
        return f"[withheld: {block.type}]"
    value = _json(block.text)
    if value is not None:
        return json.dumps(shape.redacted(value), ensure_ascii=False)
    return words(block.text, shape)


def words(text: str, shape: Shape) -> str:
    """Plain text as the agent may read it."""
    try:
        return shape.text(text)
    except Withheld:
        return "[withheld: text in which the parts to be redacted cannot be found]"


def _json(text: str) -> Any:
    """The object or array that a text is; None for any other."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return canonical.loads(text.encode())
    except (canonical.NotCanonical, UnicodeEncodeError):
        return None
