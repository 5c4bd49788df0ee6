"""A far side for each test, and a limit of time for each, because the worst that a PEP can do is hang."""

import signal
from collections.abc import Iterator

import pytest

from countersign.pep.client import AsyncPdp, Pdp
from tests.countersign.pep.lookalike import KEY, FarPdp

LIMIT = 30  # seconds


@pytest.fixture(autouse=True)
def _limit_of_time() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError(f"the test took longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def far() -> Iterator[FarPdp]:
    pdp = FarPdp()
    yield pdp
    pdp.close()


@pytest.fixture
def pdp(far: FarPdp) -> Iterator[Pdp]:
    with Pdp(far.url, KEY, timeout=1.0, patience=1.0) as client:
        yield client


@pytest.fixture
async def apdp(far: FarPdp):
    async with AsyncPdp(far.url, KEY, timeout=1.0, patience=1.0) as client:
        yield client
