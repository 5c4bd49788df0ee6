"""A policy's source and number in, a signed envelope out; an envelope in, the release it proves out, or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from countersign.policy.compile import digest_of
from countersign.proof import canonical, dsse
from countersign.proof.keys import Signer, Verifier

PAYLOAD_TYPE = "application/vnd.countersign.release.v1+json"
_MEMBERS = {"v", "tenant", "revision", "digest", "published_at", "source"}


class BadReleaseError(ValueError):
    """Not a release that a known key signed for this tenant: whatever it says must not be judged by."""


@dataclass(frozen=True, slots=True)
class Release:
    """One published policy of one tenant."""

    tenant: str
    revision: int
    digest: str
    published_at: datetime
    source: str


def sign(source_text: str, *, revision: int, tenant: str, signer: Signer, published_at: datetime) -> dict[str, Any]:
    """The DSSE envelope that publishes `source_text` as `tenant`'s policy number `revision` (1 or more)."""
    if revision < 1 or published_at.tzinfo is None:
        raise ValueError("a release has a revision of 1 or more and a time with its zone")
    payload = {
        "v": 1,
        "tenant": tenant,
        "revision": revision,
        "digest": digest_of(source_text),
        "published_at": published_at.astimezone(UTC).isoformat(),
        "source": source_text,
    }
    return dsse.sign(canonical.dumps(payload), PAYLOAD_TYPE, signer)


def open_release(envelope: Mapping[str, Any], verifiers: Iterable[Verifier], *, tenant: str | None = None) -> Release:
    """The release inside, once everything about it holds. Raises BadReleaseError.

    `tenant` is whose release is wanted: another tenant's, moved into its row, is refused.
    """
    # 1. A known key signed exactly these bytes as a release.
    try:
        body = dsse.verify(envelope, verifiers, PAYLOAD_TYPE)
        payload = canonical.loads_object(body)
    except ValueError as error:
        raise BadReleaseError(f"the release is not signed by a known key: {error}") from None
    # 2. The members of a release, nothing else, in the one form they can have.
    if set(payload) != _MEMBERS or canonical.dumps(payload) != body or payload["v"] != 1:
        raise BadReleaseError("the release has not the members of one")
    release = _read(payload)
    # 3. It is this tenant's, and names its own source.
    if tenant is not None and release.tenant != tenant:
        raise BadReleaseError("the release belongs to another tenant")
    if release.digest != digest_of(release.source):
        raise BadReleaseError("the release's digest is not that of its source")
    return release


def _read(payload: Mapping[str, Any]) -> Release:
    texts = all(isinstance(payload[name], str) for name in ("tenant", "digest", "published_at", "source"))
    revision = payload["revision"]
    if not texts or isinstance(revision, bool) or not isinstance(revision, int) or revision < 1:
        raise BadReleaseError("a member of the release is of the wrong type")
    try:
        published_at = datetime.fromisoformat(payload["published_at"])
    except ValueError:
        raise BadReleaseError("the release's time cannot be read") from None
    return Release(
        tenant=payload["tenant"],
        revision=revision,
        digest=payload["digest"],
        published_at=published_at,
        source=payload["source"],
    )
