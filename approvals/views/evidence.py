"""Where an auditor sees how much is sealed, and how to take it away and check it without this server."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from approvals.views.chrome import READ_EVIDENCE, for_members
from evidence import keys, proofs
from evidence.keys import Purpose
from evidence.models import Record
from registry.models import Membership


@require_safe
@for_members
def page(request: HttpRequest, membership: Membership) -> HttpResponse:
    if not READ_EVIDENCE & set(membership.roles):
        return render(request, "evidence_refused.html", status=403)
    log = membership.tenant.slug
    try:
        head = proofs.checkpoint(log)
    except proofs.NotThere:
        head = None
    context = {
        "log": log,
        "head": head,
        "waiting": Record.objects.filter(log=log, sealed__isnull=True).count(),
        "vkeys": [verifier.vkey for verifier in keys.verifiers(Purpose.SEALER)],
    }
    return render(request, "evidence.html", context)
