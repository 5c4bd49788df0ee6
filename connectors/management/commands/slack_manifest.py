"""`manage.py slack_manifest`: what a Slack app for this service is made from, printed to be pasted."""

import json
from typing import Any

import yaml
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from connectors.slack.manifest import manifest


class Command(BaseCommand):
    help = "Print the manifest of a Slack app for this service (COUNTERSIGN_BASE_URL). Paste it at api.slack.com/apps."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--socket-mode", action="store_true", help="for `slack_socket`: needs no public address")
        parser.add_argument("--no-history", action="store_true", help="without the scopes to read channels it is in")
        parser.add_argument("--format", choices=("yaml", "json"), default="yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        environment = settings.COUNTERSIGN
        if not options["socket_mode"] and not environment.is_https:
            self.stderr.write(
                f"Slack calls https addresses only, and COUNTERSIGN_BASE_URL is {environment.base_url}: set it to the"
                " public address of this service, or use --socket-mode, which needs none."
            )
        told = manifest(
            environment.base_url, socket_mode=options["socket_mode"], history=not options["no_history"]
        )  # fmt: skip
        text = json.dumps(told, indent=2) if options["format"] == "json" else yaml.safe_dump(told, sort_keys=False)
        self.stdout.write(text.rstrip())
