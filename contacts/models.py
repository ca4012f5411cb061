"""The contact book's tables. A contact's fields are written through `contacts.changes` only."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.urls import reverse
from django.utils import timezone

from contacts import values
from contacts.values import BUILT_IN, FieldSpec, FieldType, Value

# Who uses a field: functions from a field's name to the uses in words. The apps above add theirs when they load.
field_users: list[Callable[[str], list[str]]] = []


class FieldInUse(ValidationError):
    """A field that a mapping targets cannot be removed."""


def new_contact_id() -> str:
    """A public contact id: "contact_" and 24 hex digits."""
    return "contact_" + secrets.token_hex(12)


def new_tag_id() -> str:
    """A tag id: 32 hex digits."""
    return secrets.token_hex(16)


class CustomField(models.Model):
    """A field that an operator adds to every contact. Its name and type never change once created."""

    name = models.CharField(
        max_length=63, unique=True, help_text="snake_case. Agents read the value under this name."
    )
    label = models.CharField(
        max_length=120, blank=True, help_text="What people see. The name is shown when blank."
    )
    type = models.CharField(
        max_length=8,
        choices=[(t.value, t.value) for t in FieldType],
        help_text="Fixed once the field exists.",
    )
    description = models.TextField(
        blank=True, help_text="What the field is about. A merge follows it as its instruction."
    )
    options = models.JSONField(
        default=list, blank=True, help_text="The allowed values of an enum, as a list."
    )
    position = models.PositiveIntegerField(default=0)
    private = models.BooleanField(default=False, help_text="Never told to an agent.")
    fallback = models.CharField(
        max_length=255, blank=True, help_text="What an agent is told when a contact has no value."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def spec(self) -> FieldSpec:
        """The field as the rules see it."""
        return FieldSpec(self.name, FieldType(self.type), tuple(self.options), self.label or self.name)

    def clean(self) -> None:
        """Enforce the naming rules, the options of an enum, and that name and type stay."""
        if problem := values.name_problem(self.name):
            raise ValidationError({"name": problem})
        self._check_options()
        before = CustomField.objects.filter(pk=self.pk).first() if self.pk else None
        for fixed in ("name", "type"):
            if before and getattr(before, fixed) != getattr(self, fixed):
                raise ValidationError(
                    {fixed: f"The {fixed} of a field cannot change; add a new field instead."}
                )

    def uses(self) -> list[str]:
        """Everything that reads or writes the field, in words."""
        return [use for find in field_users for use in find(self.name)]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Remove the field; its values stay in the history. Raises FieldInUse with the uses named."""
        if uses := self.uses():
            raise FieldInUse(f"{self.name} is used by: {'; '.join(uses)}. Remove or retarget that first.")
        return super().delete(*args, **kwargs)

    def _check_options(self) -> None:
        if self.type != FieldType.ENUM:
            self.options = []
            return
        valid = isinstance(self.options, list) and all(
            isinstance(o, str) and o.strip() == o and o for o in self.options
        )
        if not valid or not self.options or len(set(self.options)) != len(self.options):
            raise ValidationError(
                {"options": "An enum needs a list of different, non-blank texts as its options."}
            )


def last_tag_position() -> int:
    """Where a new tag stands: behind all others."""
    worst = ContactTag.objects.aggregate(worst=models.Max("position"))["worst"]
    return 1 if worst is None else int(worst) + 1


class ContactTag(models.Model):
    """A label that groups contacts."""

    id = models.CharField(primary_key=True, max_length=32, default=new_tag_id, editable=False)
    label = models.CharField(max_length=120)
    listed = models.BooleanField(
        default=True, help_text="Offered and shown. A tag that is no longer listed stays on its contacts."
    )
    position = models.PositiveIntegerField(
        default=last_tag_position, editable=False, help_text="In the order in which API clients list tags."
    )

    class Meta:
        ordering = ["label"]
        constraints = [
            models.UniqueConstraint(
                fields=["label"], condition=models.Q(listed=True), name="one_listed_tag_per_label"
            )
        ]

    def __str__(self) -> str:
        return self.label


class Contact(models.Model):
    """One person, known by phone number. Blanks are "" in the names and absent keys in `custom_fields`."""

    public_id = models.CharField(max_length=32, unique=True, default=new_contact_id, editable=False)
    phone_number = models.CharField(max_length=16, unique=True, help_text="E.164, like +14155550100.")
    first_name = models.CharField(max_length=255, blank=True, default="")
    last_name = models.CharField(max_length=255, blank=True, default="")
    do_not_call = models.BooleanField(default=False)
    contact_memory = models.TextField(
        "memory", blank=True, default="", help_text="A running brief, rewritten after each conversation."
    )
    custom_fields = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)
    sources = models.JSONField(default=dict, blank=True, editable=False)
    tags = models.ManyToManyField(ContactTag, blank=True, related_name="contacts")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    user_modified_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    conversation_count = models.PositiveIntegerField(default=0, editable=False)
    last_conversation_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="contact_created"),
            models.Index(fields=["last_name", "first_name", "id"], name="contact_name"),
            models.Index(fields=["updated_at", "id"], name="contact_updated"),
            models.Index(fields=["conversation_count", "id"], name="contact_conversations"),
            models.Index(
                fields=["created_at", "id"], condition=models.Q(do_not_call=True), name="contact_opted_out"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The profile page."""
        return reverse("contact", args=[self.public_id])

    @property
    def name(self) -> str:
        """First and last name, or the number when both are blank."""
        return f"{self.first_name} {self.last_name}".strip() or self.phone_number

    def value(self, field: str) -> Value:
        """The canonical value of a built-in or custom field; None when blank."""
        if field in BUILT_IN:
            found: Value = getattr(self, field)
            return None if found == "" else found
        stored: Value = self.custom_fields.get(field)
        return stored


class ContactAlias(models.Model):
    """A number that a contact had before. It matches conversations, never new CRM records."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="aliases")
    phone_number = models.CharField(max_length=16, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.phone_number


class FormerContactId(models.Model):
    """The public id of a contact that was merged into another one: it keeps leading to the one that survives."""

    public_id = models.CharField(max_length=32, unique=True)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="former_ids")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.public_id


class ContactChange(models.Model):
    """One write to one contact: {field: [old, new]} and where it came from. Rows are never edited.

    The row of a first import holds no values, only the names of the fields that were set.
    """

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(default=timezone.now)
    source_kind = models.CharField(max_length=16)
    source_ref = models.CharField(
        max_length=80, blank=True, help_text="What wrote it, like “run:12” or “conversation:7”."
    )
    source_label = models.CharField(max_length=200, blank=True)
    created = models.BooleanField(default=False, help_text="This write created the contact.")
    diff = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["contact", "-at"], name="change_contact_at"),
            models.Index(fields=["source_ref"], name="change_source"),
        ]

    def __str__(self) -> str:
        return f"{self.source_label or self.source_kind}: {', '.join(self.diff)}"


class ContactTouched(models.Model):
    """A note that a contact changed, written with the change and drained by the sync; no foreign key on purpose."""

    contact_id = models.BigIntegerField()
    urgent = models.BooleanField(
        default=False, help_text="After a conversation or a person's edit, unlike after an import."
    )

    class Meta:
        indexes = [models.Index(fields=["-urgent", "id"], name="touched_order")]

    def __str__(self) -> str:
        return f"contact {self.contact_id}"


def by_public_id(public_id: str) -> Contact:
    """The contact with this public id, or the one that it was merged into. Raises Contact.DoesNotExist."""
    former = FormerContactId.objects.filter(public_id=public_id).select_related("contact").first()
    return former.contact if former else Contact.objects.get(public_id=public_id)


def field_specs() -> dict[str, FieldSpec]:
    """Every contact field by name, built-in ones first."""
    return BUILT_IN | {field.name: field.spec for field in CustomField.objects.all()}


def snapshot(contact: Contact) -> dict[str, Any]:
    """All values of a contact by field name, built-in and custom, canonical; blanks are None."""
    return {name: contact.value(name) for name in BUILT_IN} | dict(contact.custom_fields)
