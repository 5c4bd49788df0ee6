"""A candidate in, whether it can be what its rule says out: digits that add up, entropy, a decodable pair."""

import binascii
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping

_ENOUGH = 256  # bytes that tell a secret's entropy
_PAIR = re.compile(rb"[\x20-\x7e]*:[\x20-\x7e]+")


def entropy(secret: bytes) -> float:
    """Shannon entropy in bits a byte."""
    sample = secret[:_ENOUGH]
    size = len(sample)
    return -sum(count / size * math.log2(count / size) for count in Counter(sample).values())


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    """No further digit, letter or joint belongs to the number: 1-123-45-6789 is no social security number."""
    before, after = data[max(start - 2, 0) : start], data[end : end + 2]
    if before[-1:].isalnum() or after[:1].isalnum() or before[-1:] == b"_" or after[:1] == b"_":
        return False
    joined_before = before[-1:] in (b"-", b".") and before[:1].isalnum()
    return not (joined_before or (after[:1] in (b"-", b".") and after[1:].isalnum()))


def social_security(data: bytes, start: int, end: int) -> bool:
    """Areas 000, 666 and 900–999, group 00 and serial 0000 were never given out (SSA POMS RM 10201.035)."""
    digits = bytes(byte for byte in data[start:end] if byte in b"0123456789")
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    given_out = area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"
    return given_out and _stands_alone(data, start, end)


def payment_card(data: bytes, start: int, end: int) -> bool:
    """ISO/IEC 7812-1 annex B: the Luhn check digit."""
    if not _stands_alone(data, start, end):
        return False
    digits = [byte - 48 for byte in reversed(data[start:end]) if byte in b"0123456789"]
    doubled = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return doubled % 10 == 0 and len(set(digits)) > 1


def basic_pair(data: bytes, start: int, end: int) -> bool:
    """RFC 7617: `user:password` in base64."""
    text = data[start:end].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return _PAIR.fullmatch(binascii.a2b_base64(text + b"=" * (-len(text) % 4))) is not None
    except binascii.Error:
        return False


CHECKS: Mapping[str, Callable[[bytes, int, int], bool]] = {
    "social-security": social_security,
    "payment-card": payment_card,
    "basic": basic_pair,
}
