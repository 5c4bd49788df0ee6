#!/usr/bin/env python
"""Django's command line for the service."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

from config.database import refusal


def main() -> None:
    """Run one command. What an operator can mend is said in their words, without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}\ndocs/settings.md describes every setting.")
    except OperationalError as error:
        sys.exit(f"The database does not let us in. {refusal(error)}")


if __name__ == "__main__":
    main()
