"""Money as people and JSON write it in, an exact decimal out. Never a float's rounding."""

import re
from decimal import Decimal

MAX_LENGTH = 40
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?").fullmatch
_LIMIT = Decimal(10) ** 18


def parse_amount(value: object) -> Decimal | None:
    """The amount a JSON value names, or None if it names none: not a number, negative, endless or beyond 10^18.

    A JSON float is taken by its shortest decimal form, which is what its sender wrote.
    """
    if type(value) is int or type(value) is float:
        value = repr(value)
    elif type(value) is not str:
        return None
    if len(value) > MAX_LENGTH or not (_is_plain(value) or _NUMBER(value)):
        return None
    amount = Decimal(value)
    return amount if amount < _LIMIT else None


def _is_plain(text: str) -> bool:
    """Digits and at most one point: nearly every amount, at a third of the pattern's price."""
    return text.isascii() and text.replace(".", "", 1).isdigit()
