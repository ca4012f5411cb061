"""The fault matrix: each fault of the sandbox's catalogue, met by an import, a push and the activity log, over real HTTP.

One line a fault. A cell is what a person sees while it lasts: the connection's health, the state of the run, of the pushes
or of the activity entry, the kinds of open issues, and how many calls the CRM was asked. Then the fault is lifted. Everything
must be where it belongs, once, without a person (`alone`) or after somebody has entered credentials that work (`person`),
and our own count of the calls must be the CRM's.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sandbox.fault_catalogue import CATALOGUE, fault_named
from sync.models import SyncIssue
from tests.integrations.fault_world import FLOWS, Hours, Outbound, Site

pytestmark = [pytest.mark.django_db, pytest.mark.once]
# `*` is the scope of the flow: reading, writing contacts or writing activities. TITLE is a mapped field, ADA and OTHER are
# records, “Attention” is short for “Needs attention”.
MATRIX = """
crm         fault                                             inbound                        outbound                        activity             mended
salesforce  daily_limit                                       Paused running 1               Paused waits 1                  Paused pending 1     alone
salesforce  concurrent_limit                                  Paused running 1               Paused waits 1                  Paused pending 1     alone
salesforce  token_refused(times=1)                            Healthy succeeded 3            Healthy done 7                  Healthy logged 3     alone
salesforce  credentials_revoked                               Error failed+run_failed 2      Error waits 2                   Error pending 2      person
salesforce  user_inactive                                     Error failed+run_failed 2      Error waits 2                   Error pending 2      person
salesforce  row_lock(rows=2)                                  Healthy succeeded 1            Healthy waits 5                 Healthy pending 1    alone
salesforce  server_error                                      Healthy running 1              Healthy waits 1                 Healthy unknown 1    alone
salesforce  server_unavailable                                Healthy running 3              Healthy waits 3                 Healthy pending 1    alone
salesforce  query_timeout                                     Healthy running 6              Healthy waits 1                 Healthy logged 1     alone
salesforce  api_disabled                                      Attention failed+run_failed 1  Attention waits 1               Attention pending 1  alone
salesforce  storage_limit                                     Healthy succeeded 1            Attention waits 3               Healthy logged 1     alone
salesforce  hidden_field(fields=TITLE)                        Attention failed+run_failed 1  Attention waits+push_blocked 1  Healthy logged 1     alone
salesforce  readonly_field(fields=TITLE)                      Healthy succeeded 1            Healthy done+push_rejected 6    Healthy logged 1     alone
salesforce  hidden_object                                     Healthy succeeded 1            Healthy done 5                  Attention pending 2  alone
salesforce  duplicate_rule(mode=block)                        Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  sessions_end                                      Healthy succeeded 3            Healthy done 7                  Healthy logged 3     alone
salesforce  slow(seconds=0.1)                                 Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  html(scope=*)                                     Healthy running 1              Healthy waits 5                 Healthy unknown 1    alone
salesforce  drop_before(scope=*)                              Healthy running 2              Healthy waits 5                 Healthy unknown 1    alone
salesforce  drop_after(scope=*)                               Healthy running 2              Healthy waits 5                 Healthy unknown 1    alone
salesforce  truncated(scope=*)                                Healthy running 1              Healthy waits 5                 Healthy unknown 1    alone
salesforce  clock_skew(seconds=3600)                          Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  clock_skew(seconds=-3600)                         Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  search_lag(seconds=60)                            Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  validation_rule(field=TITLE,pattern=(?!Count).*)  Healthy succeeded 1            Healthy done+push_rejected 6    Healthy logged 1     alone
salesforce  background_bump                                   Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
salesforce  merge(winner=ADA,loser=OTHER)                     Healthy succeeded 1            Healthy done 5                  Healthy logged 1     alone
hubspot     secondly_limit(times=1)                           Healthy succeeded 3            Healthy done 5                  Healthy logged 1     alone
hubspot     ten_secondly_limit(times=1)                       Healthy succeeded 3            Healthy done 5                  Healthy logged 2     alone
hubspot     daily_limit                                       Paused running 1               Paused waits 1                  Paused pending 1     alone
hubspot     migration                                         Paused running 1               Paused waits 1                  Paused pending 1     alone
hubspot     limits_enforced                                   Healthy succeeded 2            Healthy done 4                  Healthy logged 1     alone
hubspot     token_refused(times=1)                            Error failed+run_failed 1      Error waits 1                   Error pending 1      person
hubspot     credentials_revoked                               Error failed+run_failed 1      Error waits 1                   Error pending 1      person
hubspot     token_expired                                     Error failed+run_failed 1      Error waits 1                   Error pending 1      person
hubspot     locked                                            Healthy succeeded 2            Healthy waits 2                 Healthy logged 1     alone
hubspot     server_error                                      Healthy running 1              Healthy waits 1                 Healthy unknown 1    alone
hubspot     server_unavailable                                Healthy running 1              Healthy waits 1                 Healthy unknown 1    alone
hubspot     gateway_timeout                                   Healthy running 1              Healthy waits 1                 Healthy unknown 1    alone
hubspot     bad_gateway                                       Healthy running 1              Healthy waits 1                 Healthy unknown 1    alone
hubspot     hidden_field(fields=TITLE)                        Attention failed+run_failed 2  Attention waits+push_blocked 4  Healthy logged 1     alone
hubspot     readonly_field(fields=TITLE)                      Healthy succeeded 2            Healthy done+push_rejected 5    Healthy logged 1     alone
hubspot     hidden_object                                     Healthy succeeded 2            Attention waits 2               Attention pending 1  alone
hubspot     slow(seconds=0.1)                                 Healthy succeeded 2            Healthy done 4                  Healthy logged 1     alone
hubspot     html(scope=*)                                     Healthy running 1              Healthy waits 4                 Healthy unknown 1    alone
hubspot     drop_before(scope=*)                              Healthy running 1              Healthy waits 4                 Healthy unknown 1    alone
hubspot     drop_after(scope=*)                               Healthy running 1              Healthy waits 4                 Healthy unknown 1    alone
hubspot     truncated(scope=*)                                Healthy running 1              Healthy waits 4                 Healthy unknown 1    alone
hubspot     clock_skew(seconds=3600)                          Healthy succeeded 2            Healthy done 4                  Healthy logged 1     alone
hubspot     clock_skew(seconds=-3600)                         Healthy succeeded 2            Healthy done 4                  Healthy logged 1     alone
hubspot     search_lag(seconds=60)                            Healthy succeeded 1            Healthy done 4                  Healthy logged 1     alone
hubspot     validation_rule(field=TITLE,pattern=(?!Count).*)  Healthy succeeded 2            Healthy done+push_rejected 5    Healthy logged 1     alone
hubspot     background_bump                                   Healthy succeeded 2            Healthy done 4                  Healthy logged 1     alone
hubspot     merge(winner=ADA,loser=OTHER)                     Healthy succeeded 2            Healthy waits 3                 Healthy logged 1     alone
"""  # noqa: E501 - a table
# Not of these flows: shown in tests of their own.
ELSEWHERE = {
    "archive": "tests/sync/test_removal.py",
    "tasks_archived": "tests/integrations/providers/test_salesforce_limits.py",
    "no_call_center": "tests/integrations/providers/test_salesforce.py",
    "strict_collections": "tests/integrations/providers/test_salesforce.py",
    "overtaxed": "tests/integrations/providers/test_salesforce_limits.py",
    "no_custom_channel": "tests/integrations/providers/test_hubspot.py",
    "required_properties": "tests/sandbox/test_hubspot_records.py",
    "whole_batches": "tests/integrations/providers/test_hubspot_batches.py",
    "untraced_results": "tests/integrations/providers/test_hubspot_batches.py",
    "silent_updates": "tests/integrations/providers/test_hubspot_batches.py",
    "property_added": "tests/sandbox/test_fault_catalogue.py",
}
TITLE = {"salesforce": "Contact.Title", "hubspot": "jobtitle"}


def rows() -> list[tuple[str, str, str, str, str]]:
    """CRM, fault, flow, what is shown, and who mends it."""
    found = []
    for line in MATRIX.strip().splitlines()[1:]:
        crm, fault, *cells, mended = re.split(r"\s\s+", line.strip())
        found += [(crm, fault, flow, cell, mended) for flow, cell in zip(FLOWS, cells, strict=True)]
    return found


def switched(site: Site, fault: str) -> str:
    """Switch the fault on as the table writes it, with the parameters in brackets; returns its plain name."""
    name, _, given = fault.removesuffix(")").partition("(")
    meant: dict[str, Any] = {"*": site.scope, "TITLE": TITLE[site.crm], "ADA": site.ada, "OTHER": site.other}
    pairs = dict(part.split("=", 1) for part in given.split(",") if part)
    site.sandbox.control.switch_on(
        site.crm, name, **{key: meant.get(value, value) for key, value in pairs.items()}
    )
    return name


@pytest.mark.parametrize(("crm", "fault", "flow", "cell", "mended"), rows())
def test_a_fault_loses_nothing_doubles_nothing_and_is_shown(
    crm: str, fault: str, flow: str, cell: str, mended: str, sandbox: Any
) -> None:
    site = FLOWS[flow](sandbox, crm)
    site.begin()
    site.since = sandbox.control.last_request()
    name = switched(site, fault)
    site.attempt()
    assert site.shown() == cell
    assert site.counted() == site.asked()
    if not (found := fault_named(crm, name)) or not found.act:
        sandbox.control.switch_off(crm, name)
    hours = Hours()
    heal(site, hours, daily=name == "daily_limit")
    if mended == "person" and "Error" in cell:
        assert not site.complete()
        site.mend()
        heal(site, hours)
    assert site.complete()
    with hours.after(hours=2):
        site.pull_once()
        site.attempt()
        assert site.complete()
        assert (site.health(), site.issues()) == ("Healthy", [])
    assert site.counted() == site.asked()


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_the_issue_of_a_refusal_names_the_crms_own_request(crm: str, sandbox: Any, client: Client) -> None:
    site = Outbound(sandbox, crm)
    site.begin()
    switched(site, "validation_rule(field=TITLE,pattern=(?!Count).*)")
    site.attempt()
    issue = SyncIssue.objects.get(kind="push_rejected")
    assert issue.request_id
    if crm == "salesforce":
        assert issue.request_id.startswith("sandbox-")
    client.force_login(User.objects.create_superuser("olga"))
    assert f"<code>{issue.request_id}</code>" in client.get("/issues/").content.decode()
    sandbox.control.all_off()


def heal(site: Site, hours: Hours, *, daily: bool = False) -> None:
    """Let time pass and the workers try again, three times at most."""
    for hours_later in (25 if daily else 2, 2, 2):
        if not site.complete():
            with hours.after(hours=hours_later):
                site.attempt()


def test_the_matrix_has_every_fault_of_the_catalogue() -> None:
    named = {(crm, fault.partition("(")[0]) for crm, fault, *_ in rows()}
    every = {(one.system, one.name) for one in CATALOGUE if one.name not in ELSEWHERE}
    assert named == every
