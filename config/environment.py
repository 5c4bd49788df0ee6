"""The service's settings as the environment gives them; every bad or missing value is reported at once, by name."""

import os
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.integrations import PREFIX as PREFIX
from config.integrations import Integrations
from connectors import timing

BASE_DIR = Path(__file__).resolve().parent.parent
_SECRET_LENGTH = 50
_SHORTEST_WINDOW = timedelta(minutes=1)
_TAKEN_HEADERS = frozenset(
    {"authorization", "content-type", "content-length", "host", "x-forwarded-for", "x-request-id"}
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    if isinstance(value, timedelta):  # a default
        return value
    match = re.fullmatch(r"(\d+)([smhd]?)", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a duration such as 0, 30s, 10m, 2h or 7d is needed")
    return timedelta(seconds=_seconds(match[0]))


def _seconds(value: str) -> int:
    return int(value.rstrip("smhd")) * _UNITS.get(value[-1], 1)


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Files(PydanticBaseSettingsSource):
    """`COUNTERSIGN_X_FILE` names a file whose stripped content is the value of `COUNTERSIGN_X`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  theirs
        name = f"{PREFIX}{field_name.upper()}"
        path = os.environ.get(f"{name}_FILE")
        if path is None:
            return None, field_name, False
        if name in os.environ:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one.")
        try:
            return Path(path).read_text().strip(), field_name, False
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from error

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


class Environment(Integrations):
    """`COUNTERSIGN_*` variables, each also as `…_FILE`. docs/settings.md describes every one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    secret_key: str = ""
    base_url: str = "http://127.0.0.1:8000"
    database_url: str = f"sqlite:///{BASE_DIR / 'var' / 'countersign.sqlite3'}"
    migrator_database_url: str = ""
    redis_url: str = ""
    keys_dir: Path = BASE_DIR / "var" / "keys"
    checkpoints_dir: Path = BASE_DIR / "var" / "checkpoints"
    allowed_hosts: str = "127.0.0.1,localhost"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    enrolment_cooldown: Duration = timedelta(minutes=10)
    connector_cooldown: Duration = timedelta(hours=1)
    approvals_per_minute: int = Field(default=20, ge=1, le=600)
    execution_limit: Duration = timedelta(minutes=15)
    body_limit: int = Field(default=1_048_576, ge=1024)
    attention_limit: int = Field(default=5, ge=1)
    attention_window: Duration = timedelta(minutes=10)
    reminders: str = "half,2m"
    callback_networks: str = ""
    probe_private: bool = False
    signed_references: bool = False
    request_form_url: str = ""
    issuer_networks: str = ""
    trusted_proxies: str = ""
    client_cert_header: str = Field(default="x-forwarded-client-cert", pattern=r"^[A-Za-z0-9-]{1,100}$")
    client_cert_format: Literal["xfcc", "plain"] = "xfcc"
    bootstrap_tenant: str = ""
    bootstrap_admin: str = ""
    bootstrap_email: str = ""
    bootstrap_password: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the framework's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the framework's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values, then variables, then the files they name. No .env file is read behind anybody's back."""
        return init_settings, env_settings, _Files(settings_cls)

    @field_validator("base_url")
    @classmethod
    def _base_url_is_absolute(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("an origin such as https://countersign.example.com is needed, without a path")
        return value.rstrip("/")

    @field_validator("database_url", "migrator_database_url")
    @classmethod
    def _database_is_known(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://", "sqlite:///")):
            raise ValueError("postgresql://user:password@host:port/name or sqlite:///path is needed")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_is_known(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("redis://host:port/number is needed")
        return value

    @field_validator("attention_window")
    @classmethod
    def _window_is_open(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST_WINDOW:
            raise ValueError("a minute or more is needed")
        return value

    @field_validator("reminders")
    @classmethod
    def _reminders_are_times(cls, value: str) -> str:
        for one in timing.words(value):
            if one != timing.HALF:
                _duration(one)
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts_are_named(cls, value: str) -> str:
        if "*" in value.split(","):
            raise ValueError("name the hosts; * would let anybody's page speak for this service")
        return value

    @field_validator("callback_networks", "issuer_networks", "trusted_proxies")
    @classmethod
    def _networks_are_networks(cls, value: str) -> str:
        try:
            for one in value.split(",") if value.strip() else ():
                ip_network(one.strip())
        except ValueError:
            raise ValueError("networks such as 10.0.0.0/8,fd00::/8 are needed, comma separated") from None
        return value

    @field_validator("request_form_url")
    @classmethod
    def _form_is_https(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("an address such as https://portal.example.com/access, without a query, is needed")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_some(cls, value: str) -> str:
        if any(ip_network(one.strip()).prefixlen == 0 for one in value.split(",") if one.strip()):
            raise ValueError("name the proxies; a network of everybody would let everybody say who they are")
        return value

    @field_validator("client_cert_header")
    @classmethod
    def _header_is_free(cls, value: str) -> str:
        if value.lower() in _TAKEN_HEADERS:
            raise ValueError("a header of its own is needed, which the proxy sets and nobody else")
        return value

    @model_validator(mode="after")
    def _secret_is_strong(self) -> Self:
        if not self.secret_key and self.is_sqlite:
            return self  # a try-out makes its own, see `django_secret`
        if len(self.secret_key) < _SECRET_LENGTH:
            raise ValueError(
                f"{PREFIX}SECRET_KEY: at least {_SECRET_LENGTH} random characters are needed outside a SQLite try-out; "
                "make some with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return self

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a try-out: one deciding process, tamper-evident but not tamper-resistant."""
        return self.database_url.startswith("sqlite")

    @property
    def remind_before(self) -> tuple[timedelta | None, ...]:
        """How long before its end a request is reminded of; None is half of its time."""
        each = timing.words(self.reminders)
        return tuple(None if one == timing.HALF else timedelta(seconds=_seconds(one)) for one in each)

    @property
    def hosts(self) -> list[str]:
        return [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]

    @property
    def is_https(self) -> bool:
        return self.base_url.startswith("https://")

    def django_secret(self) -> str:
        """The given secret, or for a try-out one made once and kept in KEYS_DIR."""
        return self.secret_key or _kept_secret(self.keys_dir / "django.secret")


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text()


@cache
def environment() -> Environment:
    """The settings, read once. Raises ImproperlyConfigured naming every variable that is wrong."""
    try:
        return Environment()
    except ValidationError as error:
        lines = [_line(problem) for problem in error.errors()]
        raise ImproperlyConfigured("The environment needs mending:\n" + "\n".join(lines)) from None


def _line(problem: Mapping[str, Any]) -> str:
    text = str(problem["msg"]).removeprefix("Value error, ")
    where = "".join(str(part) for part in problem["loc"]).upper()
    return f"  {PREFIX}{where}: {text}" if where else f"  {text}"


def unknown_variables(names: Mapping[str, str]) -> list[str]:
    """`COUNTERSIGN_*` variables nobody reads: typing mistakes that would silently not apply."""
    known = {PREFIX + name.upper() for name in Environment.model_fields}
    elsewhere = (f"{PREFIX}TEST_", f"{PREFIX}SOAK", f"{PREFIX}KEY", f"{PREFIX}URL", f"{PREFIX}AGENT", f"{PREFIX}MCP_")
    return sorted(
        name
        for name in names
        if name.startswith(PREFIX) and name.removesuffix("_FILE") not in known and not name.startswith(elsewhere)
    )
