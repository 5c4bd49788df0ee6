"""A waiver in, a pack of its whole life out: its records are one thread, so that none can be left out unseen."""

from pathlib import Path
from typing import Final

from approvals.waivers.models import Waiver
from evidence import clock, packs
from evidence.ledger import Actor
from evidence.packs import Exported, Selection
from registry.models import Tenant

AT_MOST: Final = 10_000
"""Uses of a waiver whose pack is made while somebody waits for it; of one with more, `export_evidence` makes it."""


class TooMuch(ValueError):
    """The waiver has more uses than a pack can hold that somebody waits for."""


def selection(tenant: Tenant, waiver_id: str) -> Selection | None:
    """What a pack of it is about; None if there is no such waiver here."""
    found = Waiver.objects.filter(tenant=tenant, pk=waiver_id).values_list("request_id", flat=True).first()
    return None if found is None else Selection(request=found)


def policies(tenant: Tenant) -> dict[str, bytes]:
    """Every policy that was ever published, by its digest: those that the records name go into a pack."""
    return {digest: source.encode() for digest, source in tenant.releases.values_list("digest", "source")}


def pack(waiver: Waiver, out: Path, *, actor: Actor, arguments: bool = True) -> Exported:
    """Write it to `out`, a directory or a .tar.gz, and record that. Not inside of a transaction.

    Raises TooMuch, and what `packs.export` raises.
    """
    if waiver.uses > AT_MOST:
        raise TooMuch(f"{waiver.pk} has {waiver.uses} uses")
    return packs.export(
        waiver.tenant.slug,
        out,
        selection=Selection(request=waiver.request_id),
        policies=policies(waiver.tenant),
        actor=actor,
        now=clock.now(),
        arguments=arguments,
    )
