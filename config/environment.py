"""The service's settings as the environment gives them; every bad or missing value is reported at once, by name."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(BaseSettings):
    """`COUNTERSIGN_*` variables."""

    model_config = SettingsConfigDict(env_prefix="COUNTERSIGN_", extra="ignore")

    secret_key: str = Field(default="")
    base_url: str = "http://127.0.0.1:8000"
    database_url: str = f"sqlite:///{BASE_DIR / 'var' / 'countersign.sqlite3'}"
    migrator_database_url: str = ""
    redis_url: str = ""
    keys_dir: Path = BASE_DIR / "var" / "keys"
    allowed_hosts: str = "127.0.0.1,localhost"
    log_level: str = "INFO"
