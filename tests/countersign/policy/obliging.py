"""Obligations of each form, and of none, for everybody who reads them: compiler, schemas, waivers, enforcement points."""

from typing import Any


def one(kind: Any, **properties: Any) -> dict[str, Any]:
    return {"type": kind, "properties": properties}


GOOD: list[dict[str, Any]] = [
    {"type": "log"},
    one("log", text="a", n=1),
    {"type": "redact"},
    one("redact", part="result", paths=["/customer/iban", "/cards/*/pan", "/a~1b/~0", "/"]),
    one("cap", bytes=0),
    one("cap", argument="amount", most="100.00"),
    one("cap", argument="amount", most=100, bytes=20000),
    one("cap", argument="amount", most=1.5),
    one("notification", to="#finance"),
    one("notification", to="m@acme.test", topic="Refund", body="A refund was made.", severity=3),
    one("step-up", acr_value="urn:acme:loa:3"),
    one("step-up", acr_value="urn:acme:loa:3", amr_values=["mfa", "hwk"]),
    one("custom", vendor="dlp", action="watermark"),
]
BAD: list[tuple[dict[str, Any], str]] = [
    (one("notfication", to="#x"), "did you mean 'notification'?"),
    (one("mask"), "no obligation is called 'mask'"),
    (one("REDACT"), "no obligation is called 'REDACT'"),
    (one(""), "must not be empty"),
    (one(1), "expected text"),
    ({"type": "log", "properties": []}, "expected a mapping"),
    ({"type": "log", "properties": None}, "expected a mapping"),
    (one("redact", path=["/a"]), "did you mean 'paths'?"),
    (one("redact", part="arguments"), "only a 'result'"),
    (one("redact", paths="/a"), "expected a list"),
    (one("redact", paths=[]), "must not be empty"),
    (one("redact", paths=["a"]), "expected a JSON pointer"),
    (one("redact", paths=["/a~2"]), "expected a JSON pointer"),
    (one("redact", paths=[1]), "expected text"),
    (one("redact", paths=["/a", "/a"]), "listed twice"),
    ({"type": "cap"}, "names 'bytes', or 'argument' and 'most'"),
    (one("cap", bytes="1"), "expected a whole number"),
    (one("cap", bytes=-1), "must be from 0"),
    (one("cap", bytes=True), "expected a whole number"),
    (one("cap", bytes=1, unit="kB"), "unknown key 'unit'"),
    (one("cap", most="1"), "'argument' is missing"),
    (one("cap", argument="amount", bytes=1), "'most' is missing"),
    (one("cap", argument=1, most="1"), "expected text"),
    (one("cap", argument="amount", most="much"), "expected an amount"),
    (one("cap", argument="amount", most=-1), "expected an amount"),
    ({"type": "notification"}, "'to' is missing"),
    (one("notification", to=["#x"]), "expected text"),
    (one("notification", to="#x", body=5), "expected text"),
    (one("notification", to="#x", topic=" "), "must not be empty"),
    ({"type": "step-up"}, "'acr_value' is missing"),
    (one("step-up", acr_value=3), "expected text"),
    (one("step-up", acr_value="a", amr_values="mfa"), "expected a list"),
    (one("step-up", acr_value="a", amr=["mfa"]), "unknown key 'amr'"),
    ({"type": "custom"}, "what your enforcement points are to do"),
    (one("custom"), "what your enforcement points are to do"),
]
