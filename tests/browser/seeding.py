"""`python -m tests.browser.seeding SANDBOX_URL [bare]`: fill an installation by the product's own ways, and tell where to look.

Everything comes in as it would in life: by a sync, a signed event, a person's edit. The last line printed is JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from datetime import timedelta
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - the apps must be loaded first
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from activity.backfill_job import Backfill  # noqa: E402
from activity.models import Conversation, WebhookDelivery  # noqa: E402
from contacts.changes import Source, change_contact  # noqa: E402
from contacts.models import Contact, ContactChange, ContactTag  # noqa: E402
from crmsync.demo import seed, story  # noqa: E402
from crmsync.demo.story import Crm  # noqa: E402
from crmsync.tasks import drain  # noqa: E402
from integrations.models import Connection  # noqa: E402
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping  # noqa: E402
from sandbox.client import Control  # noqa: E402
from sync.arming import approve_outbound  # noqa: E402
from sync.import_store import store_upload  # noqa: E402
from sync.imports import Wish, request_import  # noqa: E402
from sync.models import ContactImport, ExternalRecord, SyncIssue, SyncRun, UndoRequest  # noqa: E402
from sync.runs import request_run  # noqa: E402
from sync.undo_plan import of_change  # noqa: E402
from sync.undo_requests import request_undo  # noqa: E402

PERSON = Source("person", "user:1", "olga")
SECRETS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}


def bare() -> dict[str, dict[str, str]]:
    """An installation with people in it, and nothing else."""
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    seed.people()
    return {"places": {}, "facts": {}}


def main(sandbox_url: str) -> dict[str, dict[str, str]]:
    """Fill the installation; returns `places` and `facts`."""
    bare()
    seed.fields()
    seed.analysis_mappings(())
    AnalysisMapping.objects.filter(update_mode="merge").update(review="reviewed")
    crms = [
        seed.connection(name, rank, sandbox_url, SECRETS[name], ()) for rank, name in enumerate(SECRETS, 1)
    ]
    # In HubSpot one field is left for a person to map, and outbound for a person to approve.
    for kind in (InboundMapping, OutboundMapping):
        kind.objects.filter(connection=crms[1], contact_field="nickname").delete()
    for crm in crms:
        sync(crm)
    approve_outbound(crms[0], by="olga", previewed_at=timezone.now())
    drain()
    number = story.choose_customer(Crm("salesforce", sandbox_url), Crm("hubspot", sandbox_url))
    _converse(number)
    customer = Contact.objects.get(phone_number=number)
    customer.tags.add(ContactTag.objects.create(label="Key account"))
    asked = conflict(crms[0], customer, Control(sandbox_url))
    undone = undo(customer)
    drain()
    imported, uploaded = files()
    Connection.objects.update(next_sync_at=timezone.now() + timedelta(hours=1))
    return {
        "places": places(crms[0], crms[1], customer, asked, undone)
        | {"import": f"/imports/{imported.pk}/", "import-columns": f"/imports/{uploaded.pk}/"},
        "facts": {
            "number": number,
            "name": customer.name,
            **{link.connection.provider: str(link.external_id) for link in customer.records.all()},
        },
    }


def sync(crm: Connection) -> SyncRun:
    run = request_run(crm, by="olga")
    drain()
    run.refresh_from_db()
    return run


def _converse(number: str) -> None:
    """A call and a chat, as the agent platform posts them; the texts of the merge wait for a person."""
    key, client = seed.signing_key(), Client(headers={"host": "localhost"})
    for event in [*story.call_events(number), *story.chat_events(number)]:
        body = json.dumps(event).encode()
        answer = client.post(
            "/webhooks/retell/", body, content_type="application/json",
            headers={"X-Retell-Signature": story.signed(body, key)["X-Retell-Signature"]},
        )  # fmt: skip
        if answer.status_code >= 300:
            raise SystemExit(f"The event was answered {answer.status_code}.")
    drain()


def conflict(crm: Connection, customer: Contact, control: Control) -> SyncIssue:
    """Both sides change the interests, and the mapping says: ask."""
    crm.inbound_mappings.filter(contact_field="interests").update(conflict_policy="ask")
    record = ExternalRecord.objects.get(connection=crm, contact=customer)
    Connection.objects.filter(pk=crm.pk).update(enabled=False)
    change_contact(customer.pk, {"interests": "Rowing"}, source=PERSON, strict=True)
    Connection.objects.filter(pk=crm.pk).update(enabled=True)
    control.edit_contact("salesforce", str(record.external_id), {"Interests__c": "Chess"})
    sync(crm)
    return SyncIssue.objects.get(kind="conflict", contact=customer, field="interests")


def undo(customer: Contact) -> UndoRequest:
    customer.refresh_from_db()
    turned = not customer.value("vip")
    change = change_contact(customer.pk, {"vip": turned}, source=PERSON, strict=True)
    drain()
    row = ContactChange.objects.filter(contact=customer, source_kind="person").order_by("-id").first()
    if not change.changed or row is None:
        raise SystemExit("Nothing to undo.")
    return request_undo(of_change(row), "olga")


def files() -> list[ContactImport]:
    """One that was imported, with a row that was rejected, and one whose columns are to be chosen."""
    content = b"Phone,First name,Rest\n+12065550188,Edith,x\n12,Nobody,y\n"
    found = [
        store_upload(io.BytesIO(content), name="fair.csv", size=len(content), by="olga") for _ in range(2)
    ]
    request_import(found[0], Wish([("Phone", "phone_number"), ("First name", "first_name")]), by="olga")
    drain()
    return found


def places(
    crm: Connection, other: Connection, customer: Contact, conflict: SyncIssue, undone: UndoRequest
) -> dict[str, str]:
    """The pages that show one row each, by name."""
    call, run = Conversation.objects.get(key=story.CALL_ID), SyncRun.objects.order_by("pk").first()
    delivery = WebhookDelivery.objects.order_by("-pk").first()
    backfill = Backfill.objects.create(state="done", open=None, contacts=1, done=1)
    rows: dict[str, Any] = {
        "connection": f"/connections/{crm.public_id}/",
        "outbound": f"/connections/{crm.public_id}/outbound/",
        "left-out": f"/connections/{crm.public_id}/left-out/",
        "dry-run": f"/connections/{crm.public_id}/dry-run/",
        "wording": f"/connections/{crm.public_id}/wording/",
        "drift": f"/connections/{crm.public_id}/drift/",
        "unarmed": f"/connections/{other.public_id}/",
        "unarmed-outbound": f"/connections/{other.public_id}/outbound/",
        "contact": f"/contacts/{customer.public_id}/",
        "contact-history": f"/contacts/{customer.public_id}/history/",
        "contact-edit": f"/contacts/{customer.public_id}/edit/",
        "contact-merge": f"/contacts/{customer.public_id}/merge/",
        "conversation": f"/conversations/{call.pk}/",
        "run": f"/runs/{run.pk if run else 0}/",
        "undo-run": f"/undo/run/{run.pk if run else 0}/",
        "undo-request": f"/undo/{undone.pk}/",
        "question": f"/questions/{conflict.pk}/",
        "delivery": f"/deliveries/{delivery.pk if delivery else 0}/",
        "backfill": f"/backfills/{backfill.pk}/",
        "admin-connection": f"/admin/integrations/connection/{crm.pk}/change/",
        "admin-mappings": f"/admin/integrations/connection/{crm.pk}/mappings/",
        **{
            f"setup-{step}": f"/setup/{other.public_id}/{step}/"
            for step in ("access", "mappings", "dry-run", "first-sync")
        },
    }
    return rows


if __name__ == "__main__":
    started = time.monotonic()
    told = bare() if sys.argv[2:] == ["bare"] else main(sys.argv[1])
    sys.stderr.write(f"Seeded in {time.monotonic() - started:.1f} s.\n")
    sys.stdout.write(json.dumps(told) + "\n")
