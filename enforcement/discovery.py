"""`GET /.well-known/authzen-configuration[/TENANT]`: where the endpoints are and what they are capable of."""

import re

from django.conf import settings

from enforcement import arap, http, obliging, published, search
from enforcement.http import Response
from enforcement.problems import Kind, Problem

PATH = "/.well-known/authzen-configuration"
EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"
SPECIFICATION = "https://github.com/openid/authzen/tree/e287920"
"""What we were built after and are tested against: AuthZEN 1.0 and its profiles as they were there."""

ACCESS_REQUEST = "urn:openid:authzen:capability:access-request"
_tenant = re.compile(r"[-a-zA-Z0-9_]{1,63}").fullmatch


def document(path: str) -> Response:
    """The metadata of the whole service or of one tenant. Says nothing about which tenants there are: the endpoints
    are the same for all, and the credential names the tenant.
    """
    tenant = path[len(PATH) :].lstrip("/")
    if path != PATH and (path[len(PATH)] != "/" or not _tenant(tenant)):
        raise Problem(Kind.NOT_FOUND)
    base_url = settings.COUNTERSIGN.base_url
    return http.json(
        {
            "policy_decision_point": f"{base_url}/{tenant}" if tenant else base_url,
            "access_evaluation_endpoint": base_url + EVALUATION,
            "access_evaluations_endpoint": base_url + EVALUATIONS,
            **{f"search_{part}_endpoint": base_url + path for path, part in search.PARTS.items()},
            "access_request_endpoint": arap.endpoint(base_url),
            "jwks_uri": base_url + published.JWKS,
            "capabilities": [ACCESS_REQUEST],
            "supported_obligations": list(obliging.SUPPORTED),
            "specification": SPECIFICATION,
        }
    )
