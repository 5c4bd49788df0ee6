"""Log level in, Django's LOGGING out: one JSON object a line, without argument values, keys or bodies."""

import json
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from countersign.inspection.redact import redact_value

_LINK = re.compile(r"(/sign-in/link/)[^\s?\"']+")
_QUERY = re.compile(r"(/[^\s?\"']*\?)[^\s\"']+")
_KEY = re.compile(r"(csk_[a-z]+_[^_\s]+_)[^\s\"']+")


def without_secrets(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Whatever a line says: a sign-in link's token, a key's secret and a query string are not in it."""
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = _KEY.sub(r"\1…", _QUERY.sub(r"\1…", _LINK.sub(r"\1…", value)))
    return entry


def scrubbed(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No secret that the line quotes, be it in a traceback. A line that cannot be looked through is not written."""
    try:
        made, found = redact_value(json.loads(json.dumps(entry, default=repr)))
    except Exception as error:  # noqa: BLE001 -- the logging module would print the line as it was
        level = entry.get("level", "error")
        return {"event": f"a log line was withheld: {type(error).__name__} while looking for secrets", "level": level}
    return made if found else entry


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(level: str) -> dict[str, Any]:
    """Everything to standard error as JSON; line breaks inside values are escaped by JSON itself."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    without_secrets,
                    scrubbed,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            "django_structlog": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},
        },
    }
