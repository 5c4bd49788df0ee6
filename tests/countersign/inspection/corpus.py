"""Secrets of every kind with the name they are taken out under, and the ways to hide one. All are made up."""

import base64
import urllib.parse
from collections.abc import Callable

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\n"
    "VTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxK\n"
    "-----END RSA PRIVATE KEY-----"
)
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0"
    ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
# Built from parts, so that no scanner of repositories takes them for real ones.
SECRETS = [
    ("aws-access-key", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("aws-access-key", "ASIA" + "Y34FZKBOKMUTVV7A"),
    ("github-token", "ghp_" + "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8"),
    ("github-token", "gho_" + "Zx9Cv8Bn7Mq6Lk5Jh4Gf3Ds2Ap1Oi0Uy9Tr8"),
    (
        "github-token",
        "github_pat_" + "11ABCDEFG0a1B2c3D4e5F6" + "_" + "Zx9Cv8Bn7Mq6Lk5Jh4Gf3Ds2Ap1Oi0Uy9Tr8Zx9Cv8Bn7Mq6Lk5Jh4Gf3",
    ),
    ("slack-token", "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"),
    ("slack-token", "xoxp-" + "12345678901-12345678901-123456789012-0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    ("slack-webhook-url", "https://hooks.slack.com/services/" + "T0ABCDEF1/B0ABCDEF2/a1B2c3D4e5F6g7H8i9J0k1L2"),
    ("anthropic-api-key", "sk-ant-" + "api03-" + "a1B2c3D4e5F6-g7H8i9J0_" * 4 + "a1B2cAA"),
    ("google-api-key", "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
    ("google-oauth-token", "GOCSPX-" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4"),
    ("stripe-access-token", "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2"),
    ("gitlab-pat", "glpat-" + "a1B2c3D4e5F6g7H8i9J0"),
    ("npm-access-token", "npm_" + "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6g7H8"),
    ("countersign-key", "csk_pep_" + "abc123def456_" + "a1B2c3D4e5F6g7H8i9J0a1B2c3D4e5F6"),
    ("private-key", PEM),
    ("jwt", JWT),
    ("us-social-security-number", "078-05-1120"),
    ("us-social-security-number", "219 09 9999"),
    ("payment-card", "4111111111111111"),
    ("payment-card", "5500 0055 5555 5559"),
    ("payment-card", "3782-822463-10005"),
]
# Secrets by what stands before them. The second is what must be gone.
IN_CONTEXT = [
    ("password", 'password = "{}"', "Tr0ub4dor&3 horse"),
    ("password", "mysql -h db --password={} -e x", "hunter2-hunter2"),
    ("url-password", "postgres://app:{}@db.acme.test/app", "s3cr3t-pw"),
    ("authorization-header", "Authorization: Bearer {}", "mF_9.B5f-4.1JqM0aXw7Zk"),
    ("authorization-header", "authorization: basic {}", "dXNlcjpwYXNzd29yZA=="),
    ("aws-secret-key", "aws_secret_access_key={}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"),
    ("generic-secret", "api_key: '{}'", "q8Zr3Lw0Vx5Ny2Bt7Km4Pd9F"),
]


def full_width(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def zero_width(text: str) -> str:
    return "\u200b".join(text)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_url_base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def in_utf_16(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


def wrapped(text: str) -> str:
    return base64.encodebytes(("x" * 47 + " " + text).encode()).decode().strip()


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def soft(text: str) -> str:
    return text[:3] + "\u00ad" + text[3:]


def bold(text: str) -> str:
    shifts = {range(48, 58): 0x1D7CE - 48, range(65, 91): 0x1D400 - 65, range(97, 123): 0x1D41A - 97}
    return "".join(next((chr(ord(c) + by) for span, by in shifts.items() if ord(c) in span), c) for c in text)


def twice(*steps: Callable[[str], str]) -> Callable[[str], str]:
    def hidden(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    hidden.__name__ = "_then_".join(step.__name__ for step in steps)
    return hidden


HIDING = [
    full_width, zero_width, in_base64, in_url_base64, in_utf_16, wrapped, percent, quoted, soft, bold,
    twice(in_base64, percent), twice(percent, in_base64), twice(full_width, in_base64), twice(in_base64, full_width),
    twice(zero_width, in_base64), twice(in_base64, zero_width), twice(zero_width, percent), twice(percent, full_width),
    twice(percent, percent), twice(full_width, percent), twice(zero_width, full_width),
]  # fmt: skip
