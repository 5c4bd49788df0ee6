"""Where ServiceNow calls: a signed POST in, 202 out; 401 for whatever is not signed, and nothing is told of why."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connectors import accounts
from connectors.servicenow import inbound
from evidence import clock

_LONGEST = 16_384


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """A machine calls with a signature and no cookie, so there is nothing to forge across sites.

    Credentials are opened last: whoever has none must not make us open every tenant's.
    """
    size = request.headers.get("content-length") or "0"
    if not size.isascii() or not size.isdecimal() or len(size) > len(str(_LONGEST)) or int(size) > _LONGEST:
        return HttpResponse(status=413)
    stamp = request.headers.get("x-countersign-timestamp", "")
    try:
        mac = inbound.mac_of(stamp=stamp, signature=request.headers.get("x-countersign-signature", ""))
        body, now = request.read(int(size)), clock.now()
        inbound.check_time(stamp, now=now)
        signed = inbound.senders(accounts.accounts(inbound.KIND), mac=mac, stamp=stamp, body=body)
        hint = inbound.parse(body)
    except inbound.NotSigned:
        return HttpResponse(status=401)
    except inbound.NotUnderstood:
        return HttpResponse(status=400)
    for account in signed:
        inbound.take(account, hint, now=now)
    return HttpResponse(status=202)
