"""Signing in and out: by password, or by a link that is good once."""

from datetime import datetime
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from evidence import clock
from registry import sign_in, throttle

_BACKEND = "django.contrib.auth.backends.ModelBackend"


class PasswordForm(AuthenticationForm):
    """Django's own, behind our throttle; the same words whatever is wrong, so that nobody learns which names exist."""

    until: datetime | None = None

    def clean(self) -> dict[str, Any]:
        """Count first, look after. Whoever waits is told so, whether the name exists or not."""
        username = self.cleaned_data.get("username", "")
        try:
            throttle.admit(username, now=clock.now())
        except throttle.Waiting as error:
            self.until = error.until
            raise ValidationError("waiting", code="waiting") from error
        cleaned = super().clean()
        throttle.clear(username)
        return cleaned


class ByPassword(LoginView):
    """`/sign-in/`."""

    form_class = PasswordForm
    template_name = "sign_in.html"
    redirect_authenticated_user = True


by_password = ByPassword.as_view()
out = LogoutView.as_view(next_page="/sign-in/", http_method_names=["post", "options"])


@require_safe
def without_token(request: HttpRequest) -> HttpResponse:
    """A link whose end was lost on the way, as mail programs do it."""
    return render(request, "sign_in_link.html", {"incomplete": True}, status=404)


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Opening a link shows a button; pressing it signs in. A preview of the link in a chat therefore burns nothing."""
    now = clock.now()
    if request.method != "POST":
        whose = sign_in.whose(token, now=now)
        return render(request, "sign_in_link.html", {"whose": whose}, status=200 if whose else 410)
    user = sign_in.redeem(token, now=now)
    if user is None:
        return render(request, "sign_in_link.html", {}, status=410)
    login(request, user, backend=_BACKEND)
    return redirect("/inbox/")
