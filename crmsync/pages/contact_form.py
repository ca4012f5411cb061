"""The edit form of a contact, made of its fields' types; what it holds goes through the one door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from contacts import phone
from contacts.models import Contact, ContactTag, CustomField
from contacts.values import BUILT_IN, DoesNotFit, FieldSpec, FieldType, Value, coerce

DECLARED = ("first_name", "last_name", "do_not_call")
ONE_LINE = 255  # characters; a field that may hold more has several lines from the start
LONG = 80  # a text longer than this gets several lines
MOMENT = "%Y-%m-%dT%H:%M:%S"
DAY = 10  # characters of a date without a time


class CanonicalField(forms.CharField):
    """A field of any of the six types: shown by its type's control, cleaned to the canonical value."""

    def __init__(self, spec: FieldSpec, held: Value, **kwargs: Any) -> None:
        super().__init__(required=False, label=spec.label, widget=_widget(spec, held), **kwargs)
        self.spec, self.held = spec, held

    def prepare_value(self, value: Any) -> Any:
        """What the control shows for a held value; a date and time in the reader's zone, which the control does not name."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.spec.type == FieldType.DATETIME and isinstance(value, str) and value.endswith("Z"):
            return f"{timezone.localtime(datetime.fromisoformat(value)):{MOMENT}}"
        return value

    def clean(self, value: Any) -> Any:
        """The canonical value, None when blank. What is held already stays, even where the options have changed."""
        if self.held is not None and _one_newline(value) == self.prepare_value(self.held):
            return self.held
        try:
            return coerce(_typed(value, self.spec), self.spec)
        except DoesNotFit as error:
            raise forms.ValidationError(str(error)) from None


class ContactForm(forms.Form):
    """Names, flag, tags and every custom field of one contact; for a new one the number too."""

    first_name = forms.CharField(max_length=255, required=False)
    last_name = forms.CharField(max_length=255, required=False)
    do_not_call = forms.BooleanField(
        required=False, label="Do not call", help_text="Nobody, person or agent, should call."
    )
    reason = forms.CharField(
        max_length=160, required=False, label="Reason for allowing calls again",
        help_text="Needed when you take “do not call” away; it is kept in the history.",
    )  # fmt: skip
    tags = forms.ModelMultipleChoiceField(
        ContactTag.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Any = None, *, contact: Contact | None = None) -> None:
        self.contact = contact
        described = _described()
        self.specs = {name: BUILT_IN[name] for name in DECLARED} | {
            key: spec for key, (spec, _) in described.items()
        }
        super().__init__(data, initial=_initial(contact, self.specs))
        if contact is None:
            self.fields = {"phone_number": forms.CharField(max_length=40), **self.fields}
        if contact is None or not contact.do_not_call:
            del self.fields["reason"]
        self._offer_tags()
        for key, (spec, description) in described.items():
            held = contact.value(spec.name) if contact else None
            self.fields[key] = CanonicalField(spec, held, help_text=description)
        for key in self.specs:
            # What the person saw travels with the form: only what they changed is written, and only over that.
            self.fields[key].show_hidden_initial = contact is not None

    def _offer_tags(self) -> None:
        """Listed tags, and those the contact carries all the same."""
        offered = Q(listed=True) | Q(contacts=self.contact) if self.contact else Q(listed=True)
        tags = ContactTag.objects.filter(offered).distinct()
        if tags:
            self.fields["tags"] = forms.ModelMultipleChoiceField(
                tags, required=False, widget=forms.CheckboxSelectMultiple
            )
        else:
            del self.fields["tags"]

    def clean_phone_number(self) -> str:
        """The number in E.164."""
        try:
            return phone.to_e164(self.cleaned_data["phone_number"], settings.PHONE_DEFAULT_REGION)
        except phone.BadPhone as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        """An opt-out is taken back with a reason only."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (
            self.contact
            and self.contact.do_not_call
            and not cleaned.get("do_not_call")
            and not cleaned.get("reason")
        ):
            self.add_error("reason", "Say why this person may be called again.")
        return cleaned

    def values(self) -> dict[str, Value]:
        """What the person changed, by contact field."""
        return {spec.name: self.cleaned_data[key] for key, spec in self._changed()}

    def seen(self) -> dict[str, Value]:
        """What the person saw in the fields they changed."""
        return {
            spec.name: _read(self.data.get(self[key].html_initial_name), spec)
            for key, spec in self._changed()
        }

    def _changed(self) -> list[tuple[str, FieldSpec]]:
        return [(key, self.specs[key]) for key in self.changed_data if key in self.specs]

    def refuse(self, errors: Mapping[str, DoesNotFit]) -> None:
        """Show what the contact book refused, at the fields."""
        for name, error in errors.items():
            key = name if name in self.fields else f"custom_{name}"
            self.add_error(key if key in self.fields else None, str(error))


def _one_newline(text: Any) -> Any:
    """Browsers send line ends as CRLF; what is stored has LF."""
    return text.replace("\r\n", "\n") if isinstance(text, str) else text


def _typed(raw: Any, spec: FieldSpec) -> Any:
    """What was sent, with one kind of newline; a date and time without a zone is the reader's."""
    text = _one_newline(raw)
    if spec.type != FieldType.DATETIME or not isinstance(text, str):
        return text
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return text if at.tzinfo or len(text.strip()) <= DAY else timezone.make_aware(at).isoformat()


def _read(raw: Any, spec: FieldSpec) -> Value:
    try:
        return coerce(_typed(raw, spec), spec)
    except DoesNotFit:
        return str(raw)  # from before the field's options changed


def _described() -> dict[str, tuple[FieldSpec, str]]:
    """The fields that the form makes itself, by their key in it: spec and description."""
    built_in = {
        spec.name: (spec, "") for spec in BUILT_IN.values() if spec.name not in {"phone_number", *DECLARED}
    }
    custom = {f"custom_{field.name}": (field.spec, field.description) for field in CustomField.objects.all()}
    return built_in | custom


def _initial(contact: Contact | None, specs: Mapping[str, FieldSpec]) -> dict[str, Any]:
    if contact is None:
        return {}
    values = {key: contact.value(spec.name) for key, spec in specs.items()}
    return values | {"tags": list(contact.tags.values_list("pk", flat=True))}


def _widget(spec: FieldSpec, held: Value) -> forms.Widget:
    if spec.type == FieldType.BOOLEAN:
        return forms.Select(choices=[("", "–"), ("true", "Yes"), ("false", "No")])
    if spec.type == FieldType.ENUM:
        # A value from before the options changed stays choosable: opening a form must not lose it.
        kept = [held] if isinstance(held, str) and held not in spec.options else []
        return forms.Select(choices=[("", "–"), *((option, option) for option in [*spec.options, *kept])])
    long = isinstance(held, str) and (len(held) > LONG or "\n" in held)
    if spec.type == FieldType.STRING and (long or (spec.max_length or 0) > ONE_LINE):
        return forms.Textarea(attrs={"rows": 4})
    kinds = {
        FieldType.NUMBER: ("text", {"inputmode": "decimal"}),
        FieldType.DATE: ("date", {}),
        FieldType.DATETIME: ("datetime-local", {"step": "1"}),
    }
    kind, attributes = kinds.get(spec.type, ("text", {}))
    control = forms.TextInput(attrs=attributes)
    control.input_type = kind
    return control
