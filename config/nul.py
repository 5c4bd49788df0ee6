"""A page or API request in; 400 out for one whose path or query holds NUL, which PostgreSQL cannot be asked for."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest


class RefuseNul:
    """Names in a path go to the database as they are; a form's own fields refuse NUL themselves."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return HttpResponseBadRequest("No address holds the character NUL.", content_type="text/plain")
        return self.get_response(request)
