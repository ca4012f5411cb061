"""A CSV file that was uploaded and the import made of it: one row, with the file's rows beside it in pieces.

The pieces live in the database, which is all that several hosts share: any worker can take any of them, a backup holds them,
and nothing is left behind on a disk.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.db import models
from django.utils import timezone

from contacts.import_rows import Outcome, Policy


def new_upload_id() -> str:
    """A public upload id: "upload_" and 24 hex digits."""
    return "upload_" + secrets.token_hex(12)


class ContactImport(models.Model):
    """A file from its upload to the end of its import. One is open (queued or running) at a time."""

    class State(models.TextChoices):
        RECEIVING = "receiving", "being read"
        UPLOADED = "uploaded", "uploaded"
        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    public_id = models.CharField(max_length=32, unique=True, default=new_upload_id, editable=False)
    file_name = models.CharField(max_length=200)
    encoding = models.CharField(max_length=16)
    delimiter = models.CharField(max_length=1)
    header = models.JSONField(default=list, help_text="The headers, in the order of the columns.")
    rows = models.PositiveIntegerField(default=0, help_text="Rows in all.")
    mapping = models.JSONField(
        default=list, blank=True, help_text='Pairs like {"external_field_name": header, "field_name": field}.'
    )
    region = models.CharField(
        max_length=2, blank=True, help_text="Country of numbers without a country code."
    )
    tag_ids = models.JSONField(default=list, blank=True, help_text="Tags that every contact gets.")
    policy = models.CharField(
        max_length=13, default=Policy.OVERWRITE, choices=[(one.value, one.value) for one in Policy]
    )
    clear_blanks = models.BooleanField(default=False, help_text="Blank cells clear their fields.")
    state = models.CharField(max_length=9, choices=State.choices, default=State.RECEIVING)
    open = models.BooleanField(null=True, default=None, unique=True, editable=False)
    by = models.CharField(max_length=200, blank=True)
    position = models.PositiveIntegerField(default=0, help_text="Pieces that are done with.")
    created = models.PositiveIntegerField(default=0, help_text="Contacts created.")
    updated = models.PositiveIntegerField(default=0, help_text="Rows that changed a contact.")
    unchanged = models.PositiveIntegerField(default=0, help_text="Rows that changed nothing.")
    rejected = models.PositiveIntegerField(default=0, help_text="Rows that were not taken.")
    kept = models.PositiveIntegerField(default=0, help_text="Opt-outs that a row would have cleared.")
    attempts = models.PositiveIntegerField(default=0, help_text="Tries at the piece in hand.")
    error = models.CharField(max_length=200, blank=True, help_text="Why it failed, in plain words.")
    claimed_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"import of {self.file_name}"

    @property
    def ref(self) -> str:
        """How history rows point at the import."""
        return f"import:{self.pk}"

    @property
    def done(self) -> int:
        """Rows dealt with."""
        return self.created + self.updated + self.unchanged + self.rejected

    def count(self, outcome: Outcome, number: int) -> None:
        """Add to the figure of an outcome; the row is not saved."""
        setattr(self, outcome.value, getattr(self, outcome.value) + number)


class ImportPiece(models.Model):
    """Some hundred rows of the file, in its order, and which of them were not taken."""

    job = models.ForeignKey(ContactImport, on_delete=models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    rows = models.JSONField(help_text="[line, [cell, …]] of each row.")
    rejected = models.JSONField(default=dict, blank=True, help_text="Index of a row → [field, reason].")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="one_piece_per_number")]

    def __str__(self) -> str:
        return f"piece {self.number} of {self.job_id}"

    def refused(self) -> list[tuple[int, list[str], str, str]]:
        """(line, cells, field, reason) of every row that was not taken."""
        found: list[Any] = [(int(index), *why) for index, why in self.rejected.items()]
        return [(*self.rows[index], fault, reason) for index, fault, reason in sorted(found)]
