"""A policy's text in, a signed release in force out; a release row in, what it proves out, or a refusal."""

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max

from countersign.policy import release, testing
from countersign.policy.compile import Policy, compile_policy
from countersign.policy.release import BadReleaseError
from countersign.policy.source import PolicyErrors, Problem
from countersign.policy.values import Registry
from countersign.proof.events import Event
from evidence import keys, ledger
from evidence.keys import Purpose
from evidence.ledger import Actor
from registry import changes, rows, teams
from registry.models import Release, Tenant

NO_POLICY = (
    "version: 1\nname: none\nrules: []\n"  # what a tenant is judged by before its first release: nothing matches
)


class ReleaseRefused(Exception):
    """The release in force is not what people published. Its tenant is unavailable until one is published again."""

    def __init__(self, tenant: str, why: str) -> None:
        super().__init__(f"tenant {tenant}: the policy release is refused: {why}")
        self.tenant = tenant
        self.why = why


def publish(tenant: Tenant, text: str, *, file: str, actor: Actor, now: datetime) -> Release:
    """Compile and test against the registry, sign, insert, put in force, record. Raises PolicyErrors, all at once."""
    with transaction.atomic():
        locked = changes.lock(tenant)
        policy = check(locked, text, file=file)
        last = Release.objects.filter(tenant=locked).aggregate(last=Max("revision"))["last"] or 0
        row = Release.objects.create(
            tenant=locked,
            revision=last + 1,
            digest=policy.digest,
            source=text,
            envelope=release.sign(
                text,
                revision=last + 1,
                tenant=locked.slug,
                signer=keys.signer(Purpose.RELEASES),
                published_at=now,
            ),
            published_at=now,
            published_by=actor.id,
        )
        Tenant.objects.filter(pk=locked.pk).update(policy_revision=row.revision)
        changes.bump(locked, registry=False)
        _record(row, was=locked.policy_revision, actor=actor, now=now)
    tenant.policy_revision, tenant.epoch = row.revision, locked.epoch
    return row


def check(tenant: Tenant, text: str, *, file: str) -> Policy:
    """The compiled policy, if it and its own tests would hold in this tenant. Raises PolicyErrors."""
    registered = rows.registry(tenant)
    policy = _compiled_here(tenant, text, file=file, registry=registered)
    if failed := testing.problems(policy, registered, file=file):
        raise PolicyErrors(failed)
    return policy


def warnings(tenant: Tenant, *, file: str) -> tuple[Problem, ...]:
    """What the compiler says today of the policy in force: people may have moved since it was published."""
    row = Release.objects.filter(tenant=tenant, revision=tenant.policy_revision).first()
    if row is None:
        return ()
    try:
        return _compiled_here(tenant, row.source, file=file, registry=rows.registry(tenant)).warnings
    except PolicyErrors as error:
        return error.problems


def _compiled_here(tenant: Tenant, text: str, *, file: str, registry: Registry) -> Policy:
    people, humans = teams.eligible(tenant), teams.owners(tenant)
    return compile_policy(text, file=file, registry=registry, people=people, humans=humans)


def load(tenant: Tenant, *, not_below: int = 0) -> release.Release | None:
    """The release in force, once its signature and its place are proven; None before the first. Raises ReleaseRefused.

    `not_below` is the revision already judged by: the number never goes back, an older policy gets a newer number.
    """
    revision = tenant.policy_revision
    if revision < not_below:
        raise ReleaseRefused(tenant.slug, f"revision {revision} is in force after revision {not_below}")
    if _is_published(tenant, revision + 1):
        raise ReleaseRefused(tenant.slug, f"revision {revision} is in force although {revision + 1} was published")
    if revision == 0:
        return None
    row = Release.objects.filter(tenant=tenant, revision=revision).first()
    if row is None:
        raise ReleaseRefused(tenant.slug, f"revision {revision} is in force but is not there")
    return _proven(row, tenant)


def compiled(proven: release.Release | None, *, tenant: str) -> Policy:
    """What calls are judged by: the release's own text, or nothing that matches. Raises ReleaseRefused."""
    try:
        return compile_policy(proven.source, revision=proven.revision) if proven else compile_policy(NO_POLICY)
    except PolicyErrors as error:
        raise ReleaseRefused(tenant, f"it does not compile any more: {error.problems[0]}") from error


def _proven(row: Release, tenant: Tenant) -> release.Release:
    try:
        proven = release.open_release(row.envelope, keys.verifiers(Purpose.RELEASES), tenant=tenant.slug)
    except BadReleaseError as error:
        raise ReleaseRefused(tenant.slug, str(error)) from error
    if (proven.revision, proven.digest, proven.source) != (row.revision, row.digest, row.source):
        raise ReleaseRefused(tenant.slug, f"the row of revision {row.revision} is not what was signed")
    return proven


def _record(row: Release, *, was: int, actor: Actor, now: datetime) -> None:
    ledger.append(
        Event.POLICY_PUBLISHED,
        tenant=row.tenant.slug,
        thread=_thread(row.revision),
        actor=actor,
        now=now,
        detail={"revision": row.revision, "digest": row.digest, "replaces": was},
    )


def _thread(revision: int) -> str:
    return f"registry:release:{revision}"


def _is_published(tenant: Tenant, revision: int) -> bool:
    """Whether the ledger, which cannot be turned back by an UPDATE, knows this release."""
    with connection.cursor() as cursor:
        return ledger.thread_head(cursor, tenant.slug, _thread(revision)) is not None
