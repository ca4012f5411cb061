"""Merges that wait for a person: old, new and merged text side by side, with what was said; accept, edit or reject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from activity import asking
from activity.models import MergeReview
from activity.reviews import NotWaiting, accept, edit_and_accept, evidence, reject, waiting
from contacts.changes import Source
from contacts.models import field_specs
from contacts.values import DoesNotFit
from crmsync.pages.guard import page, person
from crmsync.pages.listing import OF_ITS_CONTACT, listing
from crmsync.pages.queues import queues

AT_ONCE = 10


@page("activity.view_mergereview")
def review_list(request: HttpRequest) -> HttpResponse:
    """The merges that wait, oldest first."""
    rows = waiting().defer("conversation__payload", *OF_ITS_CONTACT)
    shown = listing(request, rows, size=AT_ONCE)
    context = {
        "listing": shown, "rows": _lines(shown.rows), "books": _books(), "queues": queues(request, "merges"),
    }  # fmt: skip
    return render(request, "pages/reviews.html", context)


@page("activity.change_mergereview", "POST")
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept, edit or reject one merge. What was typed is shown again when it cannot be written."""
    review = get_object_or_404(MergeReview.objects.select_related("contact", "conversation"), pk=pk)
    text = request.POST.get("text", "").replace("\r\n", "\n")
    try:
        messages.success(request, _decide(request, review, text))
    except NotWaiting as error:
        messages.info(request, str(error))
    except DoesNotFit as error:
        context = {"listing": None, "rows": [{**_lines([review])[0], "text": text, "problem": str(error)}]}
        return render(request, "pages/reviews.html", context)
    return redirect("reviews")


def _decide(request: HttpRequest, review: MergeReview, text: str) -> str:
    """Carry out what was pressed; returns the words about it."""
    user = person(request)
    by = Source("person", f"user:{user.pk}", user.get_username(), may_clear_opt_out=True)
    if "reject" in request.POST:
        reject(review, by, request.POST.get("reason", "")[:300])
        return "Rejected: the field stays as it is."
    edited = text.strip() != review.merged.strip()
    result = edit_and_accept(review, text, by) if edited else accept(review, by)
    if result.pk == review.pk:
        return "Written."
    if edited:
        return "The field had changed meanwhile. Your text waits below: look at it against what the field holds now."
    return "The field had changed meanwhile: it is merged anew and comes back here."


def _books() -> dict[str, Any]:
    """What merges have cost this month, how much they may, and when the next month's budget begins if this one's is spent."""
    limit = asking.budget()
    return {
        "spent": f"{asking.spent().normalize():f}",
        "budget": None if limit is None else f"{limit.normalize():f}",
        "again": asking.month(timezone.now())[1] if asking.used_up() else None,
    }


def _lines(reviews: Sequence[MergeReview]) -> list[dict[str, Any]]:
    specs = field_specs()
    return [
        {
            "review": review,
            "field": specs[review.contact_field].label
            if review.contact_field in specs
            else review.contact_field,
            "text": review.merged,
            "said": evidence(review),
            "problem": "",
        }
        for review in reviews
    ]
