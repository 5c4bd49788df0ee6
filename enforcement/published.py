"""What anybody may fetch: the keys that our tokens are verified with, and what a submission may add to its denial."""

from django.conf import settings

from approvals import bundles
from countersign.proof import canonical
from enforcement import checks, pool
from enforcement.http import JSON, Response
from evidence import tokens

JWKS = "/access/v1/jwks"
SCHEMA = "/access/v1/request-schema"
PATHS = frozenset({JWKS, SCHEMA})

_FRESH_FOR = (("cache-control", "public, max-age=300"),)
"""A verifier asks again for a key it does not know (profile, discovery)."""


async def document(path: str) -> Response:
    """Needs no credential and tells nothing of any tenant."""
    told = await pool.look(tokens.jwks) if path == JWKS else schema()
    return Response(200, (JSON, *_FRESH_FOR), canonical.dumps(told))


def schema() -> dict[str, object]:
    """JSON Schema of the augmentations of a submission: none is required, and other members are let be."""
    text = {"type": "string", "maxLength": checks.MAX_JUSTIFICATION}
    wishes = {"requested_until": {"type": "string", "format": "date-time"}, "emergency": {"type": "boolean"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": settings.COUNTERSIGN.base_url + SCHEMA,
        "title": "What an access request may add to its denial",
        "type": "object",
        "properties": {
            "context": {"type": "object", "properties": {"business_justification": text}},
            "requested_access": {"type": "object", "properties": wishes},
            "items": {"type": "array", "minItems": 1, "maxItems": bundles.MAX_ITEMS},
        },
    }
