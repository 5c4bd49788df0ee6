"""The same answers under Django: for `runserver`, tests and any server that only speaks WSGI."""

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from enforcement import api, problems
from enforcement.http import Request


@csrf_exempt
def machine(request: HttpRequest) -> HttpResponse:
    """Any path of `api.PREFIXES`. Machines send keys, never cookies, so there is nothing to forge."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    limit = settings.COUNTERSIGN.body_limit
    query, peer = request.META.get("QUERY_STRING", ""), request.META.get("REMOTE_ADDR", "")
    asked = Request(request.method or "", request.path, query, headers, b"", peer)
    size = headers.get("content-length") or "0"
    if not size.isdecimal() or int(size) > limit:
        response = problems.response(api.too_large(limit))
        response = response._replace(request_id=api.request_id(asked))
    else:
        response = async_to_sync(api.answer)(asked._replace(body=request.read(int(size))))
    return HttpResponse(response.body, status=response.status, headers=dict(response.all_headers))
