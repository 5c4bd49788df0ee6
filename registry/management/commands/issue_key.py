"""`manage.py issue_key`: a key for an agent, an enforcement point, a verifier or a person, printed once."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from evidence import clock
from registry import console, credentials
from registry.models import Agent, Tenant


class Command(BaseCommand):
    help = "Issue a key. It is the last line printed and is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--agent", metavar="ID", help="may speak only as this registered agent")
        who.add_argument("--pep", metavar="ID", help="an enforcement point, for the agents its globs name")
        who.add_argument("--verifier", metavar="ID", help="reports what it saw of executions")
        who.add_argument("--person", metavar="USERNAME", help="a personal token for the people's API")
        parser.add_argument("--agents", nargs="+", default=[], metavar="GLOB", help="with --pep (default: every agent)")
        parser.add_argument(
            "--subjects", nargs="+", default=[], metavar="TYPE:GLOB", help="with --pep: other subjects, such as user:*"
        )
        parser.add_argument("--scope", default="read", help="with --person: read (always), vote")
        parser.add_argument("--expires", metavar="TIME", help="ISO 8601 with a zone, such as 2030-01-01T00:00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = console.tenant(options["tenant"])
        kind = next(kind for kind in ("agent", "pep", "verifier", "person") if options[kind])
        try:
            token = credentials.issue(
                tenant,
                kind=kind,
                name=options[kind],
                actor=console.actor("issue_key"),
                now=clock.now(),
                subjects=options["subjects"],
                expires_at=_moment(options["expires"]),
                **_reach(tenant, kind, options),
            )
        except credentials.BadReach as error:
            raise CommandError(f"No key was issued: {error}.") from None
        self.stdout.write(token)


def _reach(tenant: Tenant, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    if kind == "agent":
        if not Agent.objects.filter(tenant=tenant, agent_id=options["agent"]).exists():
            raise CommandError(f"{tenant.slug} has no agent {options['agent']!r}; register it first.")
        return {"agents": [options["agent"], *options["agents"]]}
    if kind == "person":
        scopes = [scope.strip() for scope in options["scope"].split(",") if scope.strip()]
        return {"scopes": scopes, "membership": console.member(tenant, options["person"]), "agents": options["agents"]}
    return {"agents": options["agents"]}


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"--expires {text!r}: an ISO 8601 time with its zone is needed.")
    return moment
