"""DSSE envelopes: payload and signer in, envelope out; envelope and verifiers in, payload out, or nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from countersign.proof import base64text, keys
from countersign.proof.keys import Signer, Verifier

IN_TOTO = "application/vnd.in-toto+json"

_ENVELOPE = {"payload", "payloadType", "signatures"}
_SIGNATURE = {"keyid", "sig"}


class BadEnvelope(ValueError):
    """Not a DSSE envelope of this payload type, or none that known keys signed."""


def pae(payload: bytes, payload_type: str) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, signer: Signer) -> dict[str, Any]:
    """The envelope, with the key id that many readers demand and nobody may trust."""
    signature = signer.sign(pae(payload, payload_type))
    return {
        "payload": base64text.encode(payload),
        "payloadType": payload_type,
        "signatures": [{"keyid": signer.key_id, "sig": base64text.encode(signature)}],
    }


def verify(envelope: Any, verifiers: Iterable[Verifier], payload_type: str) -> bytes:
    """The payload, if every signature (and at least one) is by a known key over this type. Raises BadEnvelope."""
    # 1. Nothing but the three members, and of the type that the caller came for.
    if not isinstance(envelope, Mapping) or set(envelope) != _ENVELOPE:
        raise BadEnvelope("an envelope has payload, payloadType and signatures, and nothing else")
    if envelope["payloadType"] != payload_type:
        raise BadEnvelope("the envelope holds another type of payload")
    payload = _bytes(envelope["payload"])
    # 2. Each signature by any known key: the key id is a hint from a stranger.
    signatures = envelope["signatures"]
    if not isinstance(signatures, Sequence) or isinstance(signatures, str) or not signatures:
        raise BadEnvelope("an envelope needs a list with at least one signature")
    known = tuple(verifiers)
    signed = pae(payload, payload_type)
    for signature in signatures:
        _verify_one(_signature(signature), signed, known)
    return payload


def _signature(member: Any) -> bytes:
    if not isinstance(member, Mapping) or "sig" not in member or set(member) - _SIGNATURE:
        raise BadEnvelope("a signature has keyid and sig, and nothing else")
    if not isinstance(member.get("keyid", ""), str):
        raise BadEnvelope("a keyid is a string")
    return _bytes(member["sig"])


def _bytes(member: Any) -> bytes:
    if not isinstance(member, str):
        raise BadEnvelope("payload and sig are base64 strings")
    try:
        return base64text.decode(member, url_safe_too=True)
    except base64text.BadBase64 as error:
        raise BadEnvelope(str(error)) from error


def _verify_one(signature: bytes, signed: bytes, verifiers: Sequence[Verifier]) -> None:
    for verifier in verifiers:
        try:
            verifier.verify(signature, signed)
        except keys.BadSignature:
            continue
        return
    raise BadEnvelope("a signature is not by any known key over this payload and type")
