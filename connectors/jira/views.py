"""Where Jira calls: a signed POST in, 200 out; 401 for whatever is not signed, and nothing is told of why."""

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connectors import accounts
from connectors.jira import inbound
from evidence import clock


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """A machine calls with a signature and no cookie, so there is nothing to forge across sites.

    Credentials are opened last: whoever has none must not make us open every tenant's.
    """
    try:
        mac = inbound.mac_of(request.headers.get("X-Hub-Signature", ""))
        body = request.body
        signed = inbound.senders(accounts.accounts(inbound.KIND), mac=mac, body=body)
        issue = inbound.issue_of(body)
    except RequestDataTooBig:
        return HttpResponse(status=413)
    except inbound.NotSigned:
        return HttpResponse(status=401)
    except inbound.NotUnderstood:
        return HttpResponse(status=400)
    if issue is None:
        return HttpResponse(status=200)
    names, now = inbound.names_of(request.headers.get("X-Atlassian-Webhook-Identifier", ""), body), clock.now()
    for account in signed:
        inbound.take(account, issue=issue, names=names, now=now)
    return HttpResponse(status=200)
