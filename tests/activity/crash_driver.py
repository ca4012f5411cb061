"""Run by test_kill.py in a process of its own: a worker is killed between every two of its steps, then another one goes on.

The steps are seen from outside: the end of every outermost transaction or single statement that writes, and the moments
before and after every request to a CRM or the LLM. For each n a fresh conversation is taken in by a forked worker that
kills itself (SIGKILL) at its n-th step; a second worker finishes; what is left is printed as one JSON line, with what the
worker was at when it died.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType

import django
from django.conf import settings

# The database of the test that has started us.
settings.DATABASES["default"].update(json.loads(sys.argv[3]))
django.setup()

from django.db import connection, connections, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from activity import log, process  # noqa: E402
from activity.models import ActivityEntry, AppliedMapping, Conversation, MergeReview, WebhookDelivery  # noqa: E402
from contacts.changes import Source, create_contact  # noqa: E402
from contacts.models import Contact, ContactChange, CustomField  # noqa: E402
from integrations.connections import set_credentials  # noqa: E402
from integrations.models import Connection  # noqa: E402
from mappings.models import AnalysisMapping  # noqa: E402
from sync.models import ExternalRecord  # noqa: E402
from tests.activity.payloads import ADA, START, analyzed, deliver  # noqa: E402

CREDENTIALS = {
    "salesforce": {"client_id": "sandbox-key", "client_secret": "sandbox-secret"},
    "hubspot": {"access_token": "pat-sandbox-token"},
}
MOST_STEPS = 200
# Where the clients of the CRMs and of the LLM send a request and have its answer.
REQUESTS = {("_make_request", "urllib3/connectionpool.py"), ("send", "httpx2/_client.py")}
# What a worker is at, by the innermost function of these that it is in.
PLACES = {
    ("activity/process.py", "_deliver"): "delivery",
    ("activity/analysis.py", "_write"): "mapping",
    ("activity/asking.py", "_begun"): "asking",
    ("activity/merging.py", "_write"): "merge",
    ("activity/process.py", "_apply"): "analysis",
    ("activity/log.py", "_mark_sending"): "sending",
    ("activity/outcomes.py", "logged"): "logged",
    ("mappings/merge.py", "_ask"): "LLM",
    ("providers/salesforce.py", "log_activities"): "Salesforce",
    ("providers/hubspot.py", "log_activities"): "HubSpot",
}


def prepare(base_url: str, records: dict[str, str]) -> None:
    """Ada with a record in both CRMs, and a mapping of every update mode."""
    for name in ("notes", "interests", "plan"):
        CustomField.objects.create(name=name, type="string")
    for position, (name, field, mode) in enumerate(
        [
            ("topic", "notes", "overwrite"),
            ("plan", "plan", "fill_if_empty"),
            ("interest", "interests", "merge"),
        ]
    ):
        AnalysisMapping.objects.create(
            analysis_field=name, contact_field=field, update_mode=mode, position=position
        )
    ada = create_contact(ADA, {"interests": "Likes tea."}, source=Source("person")).contact
    for system, record in records.items():
        crm = Connection(provider=system, name=system, tenant_url=base_url, sync_conversation_activity=True)
        set_credentials(crm, CREDENTIALS[system])
        ExternalRecord.objects.create(connection=crm, external_id=record, contact=ada)


def say(line: str) -> None:
    """To the test, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def work() -> None:
    """What a worker's task does with conversations, until nothing is due."""
    while process.process_some() or log.log_some():
        pass


def place_of(frame: FrameType | None) -> str:
    """What the worker is at; "" in between."""
    while frame is not None:
        for (file, function), words in PLACES.items():
            if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file):
                return words
        frame = frame.f_back
    return ""


def count_steps(die_at: int, last_words: int) -> None:
    """Watch this process; at step `die_at` it says where it is to the pipe `last_words` and kills itself."""
    seen = 0

    def step(frame: FrameType, when: str = "") -> None:
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.write(last_words, f"{when} {place_of(frame)}".strip().encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(frame, event, _arg):
        code = frame.f_code
        if code.co_name == "__exit__" and code.co_filename == transaction.__file__:
            if event == "return" and not connection.in_atomic_block:
                step(frame)
        elif (
            event in ("call", "return")
            and (code.co_name, code.co_filename.rpartition("-packages/")[2]) in REQUESTS
        ):
            step(frame, {"call": "before", "return": "after"}[event])
        elif code.co_name == "execute_sql" and event == "return" and not connection.in_atomic_block:
            writes = type(frame.f_locals.get("self")).__name__ == "SQLUpdateCompiler"
            step(frame) if writes else None

    sys.setprofile(watched)


def killed_at(number: int) -> str | None:
    """Where a forked worker was when it died at its `number`-th step; None when it got through before."""
    connections.close_all()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        count_steps(number, theirs)
        work()
        sys.setprofile(None)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as words:
        place = words.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return place
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("the worker failed")
    return None


def time_passes() -> None:
    """Leases run out, and what was put off is due."""
    now = timezone.now()
    WebhookDelivery.objects.update(claimed_until=None, due_at=now)
    Conversation.objects.update(claimed_until=None)
    Conversation.objects.filter(apply_due_at__isnull=False).update(apply_due_at=now)
    ActivityEntry.objects.update(claimed_until=None, due_at=now)


def main() -> None:
    """One line of JSON for each step."""
    prepare(sys.argv[1], json.loads(sys.argv[2]))
    for number in range(1, MOST_STEPS):
        key = f"call_kill_{number}"
        event = analyzed(key, topic=f"Topic {number}.", plan=f"plan {number}", interest=f"Fact {number}.")
        event["call"]["start_timestamp"] = START + number * 60_000
        deliver(event)
        before = ContactChange.objects.count()
        place = killed_at(number)
        for _ in range(4):
            time_passes()
            work()
            if not ActivityEntry.objects.exclude(state="logged").exists():
                break
        conversation = Conversation.objects.get(key=key)
        ada = Contact.objects.get()
        say(
            json.dumps(
                {
                    "step": number,
                    "died": place is not None,
                    "place": place,
                    "key": key,
                    "count": ada.conversation_count,
                    "notes": ada.value("notes"),
                    "interests": ada.value("interests"),
                    "changes": ContactChange.objects.count() - before,
                    "applied": AppliedMapping.objects.filter(conversation=conversation).count(),
                    "applied_reviews": MergeReview.objects.filter(
                        conversation=conversation, state="applied"
                    ).count(),
                    "entries": sorted(
                        ActivityEntry.objects.filter(conversation=conversation).values_list(
                            "state", flat=True
                        )
                    ),
                    "paid": str(
                        sum(row.cost for row in MergeReview.objects.filter(conversation=conversation))
                    ),
                    "questions": MergeReview.objects.filter(conversation=conversation).count(),
                }
            )
        )
        if place is None:
            break


main()
