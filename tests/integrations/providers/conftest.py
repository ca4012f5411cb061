"""The benches as fixtures."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integrations.providers.crms import Crm, FakeBench, HubSpotBench, SalesforceBench


@pytest.fixture
def salesforce(sandbox: Any) -> Iterator[SalesforceBench]:
    """The stand-in Salesforce with 40 contacts."""
    bench = SalesforceBench(sandbox.base_url, sandbox.control)
    yield bench
    bench.close()


@pytest.fixture
def hubspot(sandbox: Any) -> Iterator[HubSpotBench]:
    """The stand-in HubSpot with 40 contacts."""
    bench = HubSpotBench(sandbox.base_url, sandbox.control)
    yield bench
    bench.close()


@pytest.fixture(params=["fake", "salesforce", "hubspot"])
def crm(request: pytest.FixtureRequest) -> Crm:
    """Each CRM in turn."""
    if request.param == "fake":
        return FakeBench()
    bench: Crm = request.getfixturevalue(request.param)
    return bench
