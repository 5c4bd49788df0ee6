"""Addresses with NUL are refused before any query."""

import pytest
from django.test import Client

from tests.worlds import world


@pytest.mark.parametrize(
    "address", ["/requests/%00/", "/decisions/%00/", "/api/v1/requests/%00", "/admin/registry/entity/?type__exact=%00"]
)
def test_abuse_008_an_address_with_nul_is_a_bad_request(database: None, address: str) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(world().dana.user)
    assert browser.get(address).status_code == 400
