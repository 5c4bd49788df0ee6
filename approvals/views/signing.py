"""Signing in and out: by password, or by a link that is good once."""

from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from evidence import clock
from registry import sign_in

_BACKEND = "django.contrib.auth.backends.ModelBackend"

by_password = LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True)
out = LogoutView.as_view(next_page="/sign-in/", http_method_names=["post", "options"])


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Opening a link shows a button; pressing it signs in. A preview of the link in a chat therefore burns nothing."""
    if request.method != "POST":
        return render(request, "sign_in_link.html")
    user = sign_in.redeem(token, now=clock.now())
    if user is None:
        return render(request, "sign_in_link.html", {"spent": True}, status=410)
    login(request, user, backend=_BACKEND)
    return redirect("/inbox/")
