"""Who calls the people's API: machines never, people as the member they are at this moment."""

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from rest_framework import authentication
from rest_framework.response import Response
from rest_framework.views import APIView

from evidence import clock
from registry import access, credentials
from registry.models import Membership, User
from tests.worlds import SETUP, World, world

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


class Whoami(APIView):
    authentication_classes = (access.PersonKey, authentication.SessionAuthentication)
    permission_classes = (access.IsMember,)

    def get(self, request: Any) -> Response:
        membership = access.membership_for(request)
        return Response({"user": membership.user.username, "tenant": access.tenant_for(request).slug})

    post = get


class Evidence(Whoami):
    permission_classes = (access.IsAuditor,)


class Settings(Whoami):
    permission_classes = (access.IsAdmin,)


class Votes(Whoami):
    permission_classes = (access.CanVote,)


urlpatterns = [
    path("api/v1/whoami", Whoami.as_view()),
    path("api/v1/evidence", Evidence.as_view()),
    path("api/v1/settings", Settings.as_view()),
    path("api/v1/votes", Votes.as_view()),
    path("elsewhere", lambda _: HttpResponse("fine")),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "registry.access.MachinesKeepOut",
]


@pytest.fixture(autouse=True)
def _own_building() -> Any:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    return world()


def ask(where: str, token: str | None = None, client: Client | None = None, method: str = "get", **headers: str) -> Any:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return getattr(client or Client(), method)(f"/api/v1/{where}", headers=headers)


def signed_in(membership: Membership) -> Client:
    client = Client()
    client.force_login(membership.user)
    return client


class TestMachinesKeepOut:
    @pytest.mark.parametrize("where", ["whoami", "evidence", "never/built", "", "requests/arq_1/votes"])
    @pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
    def test_turns_machines_away_from_every_path_built_or_not(self, ours: World, where: str, method: str) -> None:
        for token in (ours.agent_key, ours.pep_key):
            answer = ask(where, token, method=method)
            assert answer.status_code == 403
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["status"] == 403

    def test_turns_verifiers_away(self, ours: World) -> None:
        assert ask("whoami", ours.key("verifier")).status_code == 403

    def test_a_machines_key_is_not_saved_by_somebodys_session(self, ours: World) -> None:
        assert ask("whoami", ours.agent_key, signed_in(ours.erin)).status_code == 403

    @pytest.mark.parametrize(
        "header",
        ["", "Bearer", "Bearer x", "Basic abc", "csk_person_a_b", "Bearer csk_person_aaaaaaaaaaaa_" + "s" * 43],
    )
    def test_asks_a_stranger_for_a_credential(self, ours: World, header: str) -> None:
        for where in ("whoami", "never/built"):
            answer = Client().get(f"/api/v1/{where}", headers={"Authorization": header} if header else {})
            assert answer.status_code == 401
            assert answer["WWW-Authenticate"].startswith("Bearer")

    def test_a_bad_header_is_not_saved_by_a_session(self, ours: World) -> None:
        assert ask("whoami", "csk_person_aaaaaaaaaaaa_" + "s" * 43, signed_in(ours.erin)).status_code == 401

    def test_a_revoked_machine_is_a_stranger(self, ours: World) -> None:
        token = ours.key("pep")
        credentials.revoke(ours.credential(token), actor=SETUP, now=clock.now())
        assert ask("whoami", token).status_code == 401

    def test_lets_people_through_to_what_is_there(self, ours: World) -> None:
        assert ask("never/built", client=signed_in(ours.erin)).status_code == 404
        assert ask("never/built", ours.person_key("erin")).status_code == 404

    def test_minds_no_other_path(self, ours: World) -> None:
        assert Client().get("/elsewhere", headers={"Authorization": f"Bearer {ours.agent_key}"}).status_code == 200


class TestPersons:
    def test_a_key_speaks_for_its_member_in_its_tenant(self, ours: World) -> None:
        assert ask("whoami", ours.person_key("erin")).json() == {"user": ours.username("erin"), "tenant": ours.slug}

    def test_abuse_143_a_key_without_the_scope_only_reads(self, ours: World) -> None:
        reader, voter = ours.person_key("erin"), ours.person_key("erin", "vote")
        assert [ask("whoami", key, method="post").status_code for key in (reader, voter)] == [403, 200]
        assert [ask("votes", key).status_code for key in (reader, voter)] == [403, 200]

    def test_abuse_045_dies_with_the_membership(self, database: None) -> None:
        theirs = world()
        token, client = theirs.person_key("erin"), signed_in(theirs.erin)
        assert ask("whoami", token).status_code == 200
        Membership.objects.filter(pk=theirs.erin.pk).update(active=False)
        assert ask("whoami", token).status_code == 403
        assert ask("whoami", client=client).status_code == 403

    def test_dies_with_the_login(self, database: None) -> None:
        theirs = world()
        token = theirs.person_key("erin")
        User.objects.filter(pk=theirs.erin.user_id).update(is_active=False)
        assert ask("whoami", token).status_code == 403

    @pytest.mark.parametrize(("where", "who"), [("evidence", "ada"), ("settings", "dana")])
    def test_roles_open_what_they_are_for_and_nothing_else(self, ours: World, where: str, who: str) -> None:
        for name in ours.people:
            expected = 200 if name == who else 403
            assert ask(where, ours.person_key(name)).status_code == expected
            assert ask(where, client=signed_in(ours.people[name])).status_code == expected


class TestTenants:
    @pytest.fixture
    def two(self, ours: World) -> tuple[World, World, Client]:
        theirs = world()
        Membership.objects.create(tenant=theirs.tenant, user=ours.frank.user, roles=[])
        return ours, theirs, signed_in(ours.frank)

    def test_abuse_057_the_header_names_only_tenants_of_ones_own(self, two: tuple[World, World, Client]) -> None:
        ours, theirs, client = two
        for tenant in (ours, theirs):
            named = {access.TENANT_HEADER: tenant.slug}
            assert ask("whoami", client=client, **named).json()["tenant"] == tenant.slug
        stranger = {access.TENANT_HEADER: world().slug}
        assert ask("whoami", client=client, **stranger).status_code == 403

    def test_abuse_057_nobody_is_led_away_by_a_tenant_that_adds_them_later(self, database: None) -> None:
        home = world()
        theirs = world(change={"tenant": f"aaa-{home.suffix}"})
        Membership.objects.create(tenant=theirs.tenant, user=home.erin.user, roles=[])
        assert ask("whoami", client=signed_in(home.erin)).json()["tenant"] == home.slug

    def test_abuse_057_a_key_stays_in_its_tenant(self, two: tuple[World, World, Client]) -> None:
        ours, theirs, _ = two
        assert ask("whoami", ours.person_key("frank"), **{access.TENANT_HEADER: theirs.slug}).status_code == 403

    def test_the_session_remembers_a_choice_while_it_holds(self, two: tuple[World, World, Client]) -> None:
        ours, theirs, client = two
        for tenant in (theirs, ours):
            session = client.session
            session[access.TENANT_KEY] = tenant.slug
            session.save()
            assert ask("whoami", client=client).json()["tenant"] == tenant.slug
        Membership.objects.filter(user=ours.frank.user).exclude(tenant=ours.tenant).update(active=False)
        session[access.TENANT_KEY] = theirs.slug
        session.save()
        assert ask("whoami", client=client).json()["tenant"] == ours.slug

    def test_choosing_refuses_tenants_of_others(self, two: tuple[World, World, Client]) -> None:
        ours, theirs, _ = two
        request: HttpRequest = RequestFactory().get("/")
        request.user, request.session = ours.frank.user, SessionStore()
        assert access.choose(request, theirs.slug).tenant == theirs.tenant
        with pytest.raises(access.NoMembership):
            access.choose(request, world().slug)
        assert request.session[access.TENANT_KEY] == theirs.slug

    def test_nobody_is_a_member_of_nothing(self, database: None) -> None:
        request: HttpRequest = RequestFactory().get("/")
        request.user, request.session = AnonymousUser(), SessionStore()
        with pytest.raises(access.NoMembership):
            access.tenant_for(request)
