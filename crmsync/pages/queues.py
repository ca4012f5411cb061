"""What waits for a person's judgement, by queue: merges of texts, values that both sides changed, records to choose from."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse

from activity.reviews import waiting
from sync.issues import OPEN
from sync.kinds import kind_of
from sync.models import SyncIssue

QUESTIONS = ("conflict", "ambiguous", "oscillation")


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue, how much waits in it, and its page."""

    words: str
    count: int
    url: str
    here: bool


def queues(request: HttpRequest, here: str) -> list[Queue]:
    """The queues that the person may see; `here`: "merges", a kind of question, or "" for all questions."""
    found = []
    if request.user.has_perm("activity.view_mergereview"):
        found.append(Queue("Merges of texts", waiting().count(), reverse("reviews"), here == "merges"))
    if request.user.has_perm("sync.view_syncissue"):
        rows = SyncIssue.objects.filter(state__in=OPEN, kind__in=QUESTIONS).order_by().values("kind")
        counted = {row["kind"]: row["count"] for row in rows.annotate(count=Count("pk"))}
        page = reverse("questions")
        found += [
            Queue(kind_of(kind).words, counted.get(kind, 0), f"{page}?kind={kind}", here == kind)
            for kind in QUESTIONS
        ]
    return found
