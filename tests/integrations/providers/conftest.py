"""The benches as fixtures."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.integrations.providers.crms import Crm, FakeBench, HubSpotBench, SalesforceBench, SandboxBench


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


@pytest.fixture(params=["fake", "salesforce", "hubspot", "hubspot-2026-09", "hubspot-v3"])
def crm(request: pytest.FixtureRequest) -> Crm:
    """Each CRM in turn, HubSpot in each of its API versions."""
    if request.param == "fake":
        return FakeBench()
    system, _, version = request.param.partition("-")
    bench: SandboxBench = request.getfixturevalue(system)
    if version:
        bench.setup = replace(bench.setup, options={"api_version": version})
    return bench
