"""`python -m tests.screenshots.world SANDBOX_URL PORT`: three weeks of a small company, then its pages, at one fixed moment.

Everything comes in by the product's own ways, at the time that the story gives it, so that the same words stand on the
pages whenever they are made. The first line printed is JSON: addresses by name, and the password.
"""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import UTC, datetime, timedelta

import django
import time_machine

MOMENT = datetime(2026, 5, 14, 8, 42, tzinfo=UTC)
clock = time_machine.travel(MOMENT - timedelta(days=21), tick=False)
time = clock.start()
django.setup()

from django.conf import settings  # noqa: E402 - the apps must be loaded first, under the story's clock
from django.core.management import call_command  # noqa: E402
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db.models import F  # noqa: E402
from django.test import Client  # noqa: E402

from activity.models import AppliedMapping, Conversation  # noqa: E402
from contacts.changes import Source, change_contact  # noqa: E402
from contacts.models import Contact, ContactTag  # noqa: E402
from crmsync.demo import seed, story  # noqa: E402
from crmsync.demo.story import Crm  # noqa: E402
from crmsync.models import Heartbeat  # noqa: E402
from crmsync.pulse import Pulse, waiting_now  # noqa: E402
from crmsync.tasks import drain  # noqa: E402
from integrations.models import Connection  # noqa: E402
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping  # noqa: E402
from sandbox.client import Control  # noqa: E402
from sync.arming import approve_outbound  # noqa: E402
from sync.models import ExternalRecord, SyncRun  # noqa: E402
from tests.browser import seeding  # noqa: E402
from tests.screenshots.calls import TOLD, Told, events  # noqa: E402

REVIEWED_FROM = timedelta(hours=3)  # merges of the last hours wait for a person
SINCE = {"salesforce": timedelta(days=21), "hubspot": timedelta(hours=26)}
USED = {"salesforce": 21_340, "hubspot": 118_200}
BRIEF = (
    "Takes the Enterprise plan at the renewal; the team has grown to forty. Demo of reporting on Thursday at three, six people"
    " join: the invitation is promised. Likes to be called Captain, and prefers text messages."
)
TAGS = (("Key account", (0, 4)), ("Newsletter", (1, 3, 6)), ("Berlin", (2, 8)))
EDITS = (
    ("salesforce", "Notes__c", "Prefers e-mail."),
    ("salesforce", "Plan__c", "Pro"),
    ("salesforce", "Nickname__c", "Red"),
)


def build(sandbox_url: str) -> dict[str, str]:
    """Live through the three weeks; returns addresses by name."""
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    seed.people()
    seed.fields()
    seed.analysis_mappings(())
    crms = []
    for rank, (name, secrets) in enumerate(seeding.SECRETS.items(), 1):
        time.move_to(MOMENT - SINCE[name])
        crms.append(seed.connection(name, rank, sandbox_url, secrets, ()))
    Connection.objects.update(interval_minutes=5, next_sync_at=MOMENT + timedelta(minutes=3))
    # In HubSpot one field is left for a person to map, and outbound for a person to approve.
    for kind in (InboundMapping, OutboundMapping):
        kind.objects.filter(connection=crms[1], contact_field="nickname").delete()
    time.move_to(MOMENT - SINCE["salesforce"])
    seeding.sync(crms[0])
    approve_outbound(crms[0], by="olga", previewed_at=MOMENT)
    drain()
    people = _people(sandbox_url)
    for label, places in TAGS:
        tag = ContactTag.objects.create(label=label)
        tag.contacts.add(*(people[place] for place in places))
    _talk(people, crms[1])
    return _today(crms, people, Control(sandbox_url))


def _people(sandbox_url: str) -> list[Contact]:
    """Whom the calls are about: the customer whom both CRMs know, then others by name."""
    number = story.choose_customer(Crm("salesforce", sandbox_url), Crm("hubspot", sandbox_url))
    rest = Contact.objects.exclude(first_name="").exclude(do_not_call=True).exclude(phone_number=number)
    return [Contact.objects.get(phone_number=number), *rest.order_by("phone_number")[:9]]


def _talk(people: list[Contact], later: Connection) -> None:
    key, client = seed.signing_key(), Client(headers={"host": "localhost"})
    joined = False
    for place, told in enumerate(TOLD):
        if told.ago < SINCE["hubspot"] and not joined:
            joined = True
            time.move_to(MOMENT - SINCE["hubspot"])
            seeding.sync(later)
        time.move_to(MOMENT - told.ago + timedelta(minutes=told.minutes))
        review = "reviewed" if told.ago < REVIEWED_FROM else "automatic"
        AnalysisMapping.objects.filter(update_mode="merge").update(review=review)
        for event in events(told, people[told.who].phone_number, _key(place, told), MOMENT):
            body = json.dumps(event).encode()
            signature = story.signed(body, key)["X-Retell-Signature"]
            answer = client.post(
                "/webhooks/retell/",
                body,
                content_type="application/json",
                headers={"X-Retell-Signature": signature},
            )
            if answer.status_code >= 300:
                raise SystemExit(f"The event was answered {answer.status_code}.")
        drain()
    call = Conversation.objects.filter(contact=people[0]).latest("started_at")
    source = Source("conversation", call.ref, str(call), {"conversation": call.key, "mode": "memory"})
    change_contact(people[0].pk, {"contact_memory": BRIEF}, source=source, strict=True)


def _key(place: int, told: Told) -> str:
    """The customer's last call is the one that the pages of one conversation show."""
    last = max(at for at, one in enumerate(TOLD) if one.who == 0 and not one.chat)
    return story.CALL_ID if place == last else f"{'chat' if told.chat else 'call'}_demo_{1000 + place}"


def _today(crms: list[Connection], people: list[Contact], control: Control) -> dict[str, str]:
    """The last half hour: changes on both sides, a question, an undo; then the clock stands at the moment."""
    time.move_to(MOMENT - timedelta(minutes=31))
    for provider, name, value in EDITS:
        record = ExternalRecord.objects.filter(connection=crms[0], contact=people[3]).first()
        if record is not None:
            control.edit_contact(provider, str(record.external_id), {name: value})
        for crm in crms:
            seeding.sync(crm)
        time.shift(timedelta(minutes=5))
    asked = seeding.conflict(crms[0], people[0], control)
    undone = seeding.undo(people[0])
    drain()
    imported, uploaded = seeding.files()
    time.shift(timedelta(minutes=4))
    for crm in crms:
        seeding.sync(crm)
    _lasted()
    _quota()
    _pulse()
    time.move_to(MOMENT)
    Heartbeat.beat()
    Connection.objects.update(next_sync_at=MOMENT + timedelta(minutes=3))
    return seeding.places(crms[0], crms[1], people[0], asked, undone) | {
        "import": f"/imports/{imported.pk}/",
        "import-columns": f"/imports/{uploaded.pk}/",
    }


def _lasted() -> None:
    """A clock that stands still measures nothing: runs get the time that they take on a usual machine."""
    for run in SyncRun.objects.filter(finished_at__isnull=False):
        length = timedelta(milliseconds=240 + run.pk * 137 % 400 + 4 * run.done)
        SyncRun.objects.filter(pk=run.pk).update(finished_at=F("started_at") + length)


def _quota() -> None:
    """The stand-in CRMs count by the real clock: their counts of the day's calls are those of a usual morning."""
    for connection in Connection.objects.all():
        used = USED[connection.provider]
        connection.quota = {**connection.quota, "used": used, "at": MOMENT.isoformat()}
        for line in connection.preflight:
            line["what"] = re.sub(r"^[\d,]+ of ", f"{used:,} of ", line["what"])
        connection.save(update_fields=["quota", "preflight"])


def _pulse() -> None:
    """What the sweep would have noted every ten minutes of a week: busy by day, quiet at night and on Sunday."""
    waiting = waiting_now()
    looks = []
    for step in range(8 * 144):
        at = MOMENT - timedelta(minutes=10 * step, seconds=30)
        hour, day = (at.hour + 2) % 24 + at.minute / 60, at.weekday()
        busy = max(0.0, math.sin((hour - 6) / 14 * math.pi)) * (
            0.15 if day == 6 else 0.45 if day == 5 else 1.0
        )
        wave = 0.7 + 0.3 * math.sin(step * 1.7) * math.cos(step * 0.37)
        looks.append(
            Pulse(
                at=at, changes=round(34 * busy * wave), conversations=round(5 * busy * wave),
                waiting=waiting if step == 0 else round(16 * busy * wave * (step % 5 == 0)),
            )
        )  # fmt: skip
    Pulse.objects.bulk_create(looks)


def serve(port: int) -> None:
    """Answer until told to stop."""

    class Silent(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadedWSGIServer(("127.0.0.1", port), Silent)
    server.set_app(get_wsgi_application())
    server.serve_forever()


if __name__ == "__main__":
    found = build(sys.argv[1])
    if not AppliedMapping.objects.exists() or not Conversation.objects.exists():
        raise SystemExit("The story did not come in.")
    sys.stdout.write(json.dumps({"places": found, "password": seed.PASSWORD}) + "\n")
    sys.stdout.flush()
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    serve(int(sys.argv[2]))
