"""What exists in a tenant. Every row names its tenant; references across tenants are impossible by constraint."""

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q


class Tenant(models.Model):
    """One isolated customer. `slug` is also the name of its evidence log.

    `epoch` rises with any change that can alter a verdict; `registry_revision` with any change of what exists;
    `policy_revision` names the published release (0: none, everything is denied).
    """

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=120)
    epoch = models.BigIntegerField(default=1)
    registry_revision = models.BigIntegerField(default=0)
    policy_revision = models.BigIntegerField(default=0)
    waiver_revision = models.BigIntegerField(default=0)  # rises with any change of which waivers are in force
    keep_arguments = models.BooleanField(default=False)
    max_open_requests = models.PositiveIntegerField(default=50)
    chat_codes = models.BooleanField("codes in chats", default=False)  # a step-up code may be typed there, up to tier 3
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.slug


class Human(models.Model):
    """One person in flesh and blood, however many accounts they have. Quorum counts these.

    For accounts of an identity provider: its issuer and subject. For local accounts: `local` and the normalised
    e-mail (lower case, NFKC, no +tag), so that an alias is not a second person.
    """

    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=320)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="human_is_unique")]

    def __str__(self) -> str:
        return self.subject


class UserManager(BaseUserManager["User"]):
    """Users are made by `registry.people.add`; Django's `createsuperuser` has no place here."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A login. Usernames are global, membership is per tenant."""

    username = models.CharField(max_length=150, unique=True)
    email = models.EmailField(max_length=320)
    human = models.ForeignKey(Human, on_delete=models.PROTECT, related_name="users")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_service = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    objects = UserManager()
    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    def __str__(self) -> str:
        return self.username


class Team(models.Model):
    """People who may be asked together."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="teams")
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="team_name_is_unique")]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do besides approving; approving comes from teams, never from a role."""

    ADMIN = "admin"
    POLICY_AUTHOR = "policy_author"
    POLICY_SIGNER = "policy_signer"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Membership(models.Model):
    """A user in a tenant, with roles and the identities other systems know them by."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    roles = models.JSONField(default=list, blank=True)
    identities = models.JSONField(default=dict, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_is_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"


class TeamMember(models.Model):
    """A membership's place in a team of the same tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="teams")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "membership"], name="team_member_is_unique")]


class Agent(models.Model):
    """A registered non-human caller."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="agents")
    agent_id = models.CharField("id", max_length=200)
    owner = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="owned_agents")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="agents")
    intents = models.JSONField(default=list, blank=True)
    tool_groups = models.JSONField(default=list, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "agent_id"], name="agent_id_is_unique")]

    def __str__(self) -> str:
        return self.agent_id


class Tool(models.Model):
    """A registered capability. Its JSON columns hold the blueprint's shapes."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="tools")
    tool_id = models.CharField("id", max_length=200)
    group = models.CharField(max_length=100)
    owner = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="owned_tools")
    risk_tier = models.PositiveSmallIntegerField()
    methods = models.JSONField(default=list)
    data_classes = models.JSONField(default=list, blank=True)
    caps = models.JSONField(default=dict, blank=True)
    arguments_schema = models.JSONField(null=True, blank=True)
    argument_rules = models.JSONField(default=list, blank=True)
    approval = models.JSONField(default=dict, blank=True)
    verified_principal = models.BooleanField(default=False)
    wrapper = models.BooleanField(default=False)  # runs whatever it is given; a waiver for it needs a condition
    descriptor_digest = models.CharField(max_length=71, default="", blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "tool_id"], name="tool_id_is_unique"),
            models.CheckConstraint(condition=Q(risk_tier__gte=1, risk_tier__lte=4), name="tool_tier_is_1_to_4"),
        ]

    def __str__(self) -> str:
        return self.tool_id


class Entity(models.Model):
    """A catalogue row for subject and resource types other than agent and tool."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="entities")
    type = models.CharField(max_length=100)
    entity_id = models.CharField("id", max_length=300)
    properties = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "entities"
        constraints = [models.UniqueConstraint(fields=["tenant", "type", "entity_id"], name="entity_is_unique")]

    def __str__(self) -> str:
        return f"{self.type}:{self.entity_id}"


class Channel(models.Model):
    """Where a team is asked; `config` holds what the blueprint said for this kind."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="channels")
    kind = models.CharField(max_length=20)
    key = models.CharField(max_length=200)
    config = models.JSONField(default=dict, blank=True)
    teams = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "key"], name="channel_is_unique")]


class WaiverDraft(models.Model):
    """Terms of a waiver that a blueprint proposes. Nothing lifts anything by standing here: a person has to ask."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="waiver_drafts")
    draft_id = models.CharField("id", max_length=200)
    terms = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "draft_id"], name="waiver_draft_id_is_unique")]

    def __str__(self) -> str:
        return self.draft_id


class IssuerKind(models.TextChoices):
    """How somebody outside vouches for a caller. What a credential or a record calls the method."""

    JWT = "jwt"
    CERTIFICATE = "certificate"


class Issuer(models.Model):
    """Whose word counts for who speaks. A `jwt` row: tokens of `issuer` for `audience`, whose one claim names either an
    agent or a principal. A `certificate` row: `issuer` is the identity a trusted proxy read from a client's
    certificate, and `agent` whom it speaks as. What identifies a tenant identifies one: it is unique over all tenants.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="issuers")
    issuer_id = models.CharField("id", max_length=200)
    kind = models.CharField(max_length=11, choices=IssuerKind.choices)
    issuer = models.CharField(max_length=500)
    audience = models.CharField(max_length=500, default="", blank=True)
    jwks = models.JSONField(default=dict, blank=True)  # public keys; empty: they are fetched from `jwks_url`
    jwks_url = models.CharField(max_length=2000, default="", blank=True)
    algorithms = models.JSONField(default=list, blank=True)
    agent_claim = models.CharField(max_length=100, default="", blank=True)
    principal_claim = models.CharField(max_length=100, default="", blank=True)
    max_lifetime = models.PositiveIntegerField(default=3600)  # seconds from `iat` to `exp`
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, null=True, blank=True, related_name="certificates")
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "issuer_id"], name="issuer_id_is_unique"),
            models.UniqueConstraint(
                fields=["kind", "issuer", "audience"], condition=Q(active=True), name="issuer_names_one_tenant"
            ),
            models.CheckConstraint(
                condition=Q(kind="jwt", agent__isnull=True)
                & ~Q(audience="")
                & (~Q(agent_claim="") & Q(principal_claim="") | Q(agent_claim="") & ~Q(principal_claim=""))
                | Q(kind="certificate", agent__isnull=False, audience="", agent_claim="", principal_claim=""),
                name="issuer_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.issuer_id


class CredentialKind(models.TextChoices):
    """Who speaks with a key."""

    AGENT = "agent"
    PEP = "pep"
    VERIFIER = "verifier"
    PERSON = "person"


class Credential(models.Model):
    """A bearer key, of which only a keyed hash is stored. `key_id` is its public middle part.

    With an `issuer` it is no key but what stands for one: the agent of that name, whom this issuer vouches for. Its
    hash is empty, which no secret has.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="credentials")
    kind = models.CharField(max_length=8, choices=CredentialKind.choices)
    key_id = models.CharField(max_length=20, unique=True)
    secret_hash = models.BinaryField()
    name = models.CharField(max_length=200)
    agents = models.JSONField(default=list, blank=True)
    subjects = models.JSONField(default=list, blank=True)
    scopes = models.JSONField(default=list, blank=True)
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, blank=True, related_name="keys")
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, null=True, blank=True, related_name="credentials")
    brief = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=CredentialKind.values), name="credential_kind_is_known"),
            models.CheckConstraint(
                condition=Q(kind="person", membership__isnull=False) | (~Q(kind="person") & Q(membership__isnull=True)),
                name="credential_person_has_membership",
            ),
            models.UniqueConstraint(fields=["issuer", "name"], name="credential_once_per_workload"),
            models.CheckConstraint(
                condition=Q(issuer__isnull=True) | Q(kind="agent"), name="credential_of_issuer_is_agents"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} key {self.key_id}"


class Release(models.Model):
    """A published policy: source and its signed envelope. Loading refuses a row whose signature does not hold."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="releases")
    revision = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=71)
    source = models.TextField()
    envelope = models.JSONField()
    published_at = models.DateTimeField()
    published_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "revision"], name="release_revision_is_unique"),
            models.CheckConstraint(condition=Q(revision__gte=1), name="release_revision_is_positive"),
        ]


class SignInLink(models.Model):
    """A one-time sign-in link: keyed hash of its token, used at most once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    token_hash = models.BinaryField(unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class PasswordTries(models.Model):
    """Wrong passwords in a row for one user name, which need not exist: keyed hash of the name, never the name."""

    name_hash = models.BinaryField(unique=True)
    failures = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField()
