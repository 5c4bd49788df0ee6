"""How the OpenAPI document tells of a person's key. Imported for its effect: the extension registers itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class PersonKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library is untyped here
    """`Authorization: Bearer csk_person_…`."""

    target_class = "registry.access.PersonKey"
    name = "personKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:  # noqa: ARG002  the library's signature
        """As OpenAPI 3 names it."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "csk_person_…"}
