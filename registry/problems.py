"""An error of the people's API in, problem details (RFC 9457) out."""

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler, in the shape that every other error of the service has."""
    response = exception_handler(error, context)
    if response is None:
        return None
    name = getattr(error, "default_code", "not_found").replace("_", "-")
    told: dict[str, Any] = {
        "type": f"urn:countersign:problem:{name}",
        "title": response.status_text,
        "status": response.status_code,
    }
    if isinstance(error, exceptions.ValidationError):
        told |= {"detail": "Some members are missing or wrong.", "errors": response.data}
    else:
        told["detail"] = str(response.data.get("detail", "")) if isinstance(response.data, dict) else ""
    response.data = told
    response.content_type = "application/problem+json"
    return response
