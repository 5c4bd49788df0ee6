"""Where proxies are believed by their address, no header may put another in its place."""

from typing import Any

import pytest

from config.environment import environment
from config.management.commands import up


@pytest.mark.parametrize(("trusted", "believed"), [("", True), ("10.0.3.7", False)])
def test_believes_forwarded_addresses_only_where_none_is_trusted(
    monkeypatch: pytest.MonkeyPatch, trusted: str, believed: bool
) -> None:
    monkeypatch.setenv("COUNTERSIGN_TRUSTED_PROXIES", trusted)
    environment.cache_clear()
    asked: dict[str, Any] = {}
    monkeypatch.setattr(up.uvicorn, "run", lambda _application, **given: asked.update(given))
    up.serve(host="127.0.0.1", port=1, workers=1)
    environment.cache_clear()
    assert asked["proxy_headers"] is believed
