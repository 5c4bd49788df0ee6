"""`manage.py sign_in_link USERNAME`: a link that signs that person in once, within fifteen minutes."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evidence import clock
from registry import console, sign_in
from registry.models import User


class Command(BaseCommand):
    help = "Print a one-time sign-in link. Hand it to nobody but that person: whoever opens it is them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True, is_service=False).first()
        if user is None or not user.memberships.filter(active=True).exists():
            raise CommandError(f"No active person is called {options['username']!r}.")
        token = sign_in.issue(user, actor=console.actor("sign_in_link"), now=clock.now())
        minutes = sign_in.LIFETIME // timedelta(minutes=1)
        self.stderr.write(f"Good once, for {minutes} minutes:", str)  # not on stdout, which is the link alone
        self.stdout.write(sign_in.address(token))
