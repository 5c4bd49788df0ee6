"""The quickstart's tenant with caps too wide to be used up; prints the key of a PEP."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from bench import stage  # noqa: E402
from tests.worlds import world  # noqa: E402


def main() -> None:
    print(world(caps=stage.CAPS).pep_key)


if __name__ == "__main__":
    main()
