"""What holds for all tests of connectors but those about attention: a world shared by many tests is no flood."""

import pytest


@pytest.fixture(autouse=True)
def _attention_to_spare(request: pytest.FixtureRequest, settings) -> None:
    if "attention" not in request.path.parts:
        settings.COUNTERSIGN = settings.COUNTERSIGN.model_copy(update={"attention_limit": 10_000})
