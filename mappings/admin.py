"""Mappings in the admin: inlines for the connection's page, and the analysis mappings of the organisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from contacts.models import field_specs
from contacts.values import FieldSpec
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping
from mappings.unknown import suggestions

READABLE, WRITABLE = "crm-fields-in", "crm-fields-out"
PHONE = "phone_number"
UNKNOWN_SHOWN = 5


class ValueMapField(forms.Field):
    """A value map, edited as lines like "Yes = true"."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 40, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """The map as lines."""
        return (
            "\n".join(f"{given} = {held}" for given, held in value.items())
            if isinstance(value, dict)
            else value
        )

    def to_python(self, value: Any) -> dict[str, str]:
        """The lines as a map; blank lines left out."""
        found: dict[str, str] = {}
        for line in str(value or "").splitlines():
            given, equals, held = (part.strip() for part in line.partition(" = " if " = " in line else "="))
            if not line.strip():
                continue
            if not equals or not given or not held:
                raise ValidationError(f"“{line.strip()}” is not like “Yes = true”.")
            if given in found:
                raise ValidationError(f"“{given}” stands there twice.")
            found[given] = held
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lines mean another map; lines that cannot be read are a change."""
        try:
            return self.to_python(data) != (initial or {})
        except ValidationError:
            return True


class CrmMappingForm(forms.ModelForm):
    """One mapping row. The CRM field is searched by label or API name; either may be typed."""

    schema: ClassVar[dict[str, ExternalField]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():  # a cell has no label of its own
            field.widget.attrs["aria-label"] = field.label or ""
        if self.locked and "contact_field" in self.fields:
            self.fields["contact_field"].disabled = True

    @property
    def locked(self) -> bool:
        """The inbound phone number: contacts are known by it."""
        return (
            isinstance(self.instance, InboundMapping)
            and bool(self.instance.pk)
            and self.instance.contact_field == PHONE
        )

    def clean_external_field(self) -> str:
        """The API name; a label that only one field has is as good."""
        typed: str = self.cleaned_data["external_field"].strip()
        if typed in self.schema:
            return typed
        named = [name for name, field in self.schema.items() if field.label.casefold() == typed.casefold()]
        return named[0] if len(named) == 1 else typed


class CrmMappingFormSet(BaseInlineFormSet):
    """The rows of one connection; the phone number's stays."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """No deletion for the locked row."""
        super().add_fields(form, index)
        if deletion := form.fields.get(DELETION_FIELD_NAME):
            deletion.disabled = form.locked
            deletion.widget.attrs["aria-label"] = f"Delete {form.instance}"

    def clean(self) -> None:
        """Each target once, said before the database does."""
        target = "contact_field" if self.model is InboundMapping else "external_field"
        rows = [form.cleaned_data.get(target) for form in self.forms if hasattr(form, "cleaned_data")]
        kept = [
            row for row, form in zip(rows, self.forms, strict=False) if row and form not in self.deleted_forms
        ]
        if twice := sorted({row for row in kept if kept.count(row) > 1}):
            raise ValidationError(f"Mapped more than once: {', '.join(twice)}. Keep one row for each.")
        super().clean()


class CrmMappingInline(admin.StackedInline):
    """Rows of one direction: the two fields and the policies in a line, what to know below, transforms folded."""

    template = "admin/mappings/rows.html"
    form = CrmMappingForm
    formset = CrmMappingFormSet
    extra = 0
    readonly_fields = ("to_know",)
    datalist = READABLE
    map_help = ""
    known: dict[str, ExternalField]
    specs: dict[str, FieldSpec]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """With the choices of this connection, read once for all rows."""
        self.known = obj.external_fields() if isinstance(obj, Connection) else {}
        self.specs = field_specs()
        choices = [("", "choose…"), *contact_field_choices(self.specs)]
        attributes = {
            "schema": self.known,
            "contact_field": forms.ChoiceField(label="Contact field", choices=choices),
            "external_field": forms.CharField(
                label="CRM field", max_length=255,
                widget=forms.TextInput(
                    attrs={"list": self.datalist, "autocomplete": "off", "spellcheck": "false", "class": "pick"}
                ),
            ),
            "value_map": ValueMapField(label="Values", required=False, help_text=self.map_help),
        }  # fmt: skip
        kwargs["form"] = type(self.form.__name__, (self.form,), attributes)
        return super().get_formset(request, obj, **kwargs)

    @admin.display(description="")
    def to_know(self, mapping: InboundMapping | OutboundMapping) -> SafeString | str:
        """Label and type of the CRM field or that it is missing, what the mapping will not do, values it does not know."""
        if not mapping.external_field or not self.known:
            return ""
        field = self.known.get(mapping.external_field)
        if field is None:
            return format_html('<span class="chip chip-bad">{}</span>', "missing in the CRM")
        parts = [format_html('{} <span class="quiet">{}</span>', field.label, field.type)]
        parts += [
            format_html('<p class="to-know">{}</p>', words)
            for words in mapping.warnings(self.specs, self.known)
        ]
        if isinstance(mapping, InboundMapping) and mapping.pk and mapping.unknown_values:
            parts += [_unknown(mapping)]
        return format_html_join("", "{}", ((part,) for part in parts))


class InboundInline(CrmMappingInline):
    """CRM → contact."""

    model = InboundMapping
    fieldsets = (
        (
            None,
            {"fields": [("external_field", "contact_field", "conflict_policy", "blank_policy"), "to_know"]},
        ),
        (
            "Values on their way in",
            {"fields": ["value_map", ("case", "default_value")], "classes": ["collapse"]},
        ),
    )
    map_help = "One a line: CRM value = contact value. Upper and lower case are the same."
    verbose_name_plural = "Inbound: from the CRM into the contact"


class OutboundInline(CrmMappingInline):
    """Contact → CRM."""

    model = OutboundMapping
    fieldsets = (
        (None, {"fields": [("contact_field", "external_field", "blank_policy"), "to_know"]}),
        (
            "Values on their way out",
            {"fields": ["value_map", ("case", "default_value")], "classes": ["collapse"]},
        ),
    )
    map_help = "One a line: contact value = CRM value. Upper and lower case are the same."
    verbose_name_plural = "Outbound: from the contact into the CRM"
    datalist = WRITABLE


def _unknown(mapping: InboundMapping) -> SafeString:
    """The values that were met and not known; the connection's page maps them with one click."""
    ways = format_html_join(
        "", "<li>{}</li>", ((one.advice,) for one in suggestions(mapping)[:UNKNOWN_SHOWN])
    )
    where = f"{reverse('connection', args=[mapping.connection.public_id])}#unknown-{mapping.pk}"
    return format_html(
        '<div class="to-know">{}<ul>{}</ul><a href="{}">{}</a></div>',
        "Values of the CRM that the contact field does not know:", ways, where, "Say what they mean",
    )  # fmt: skip


class AnalysisMappingForm(forms.ModelForm):
    """Analysis field → contact field; the number is not among the targets."""

    contact_field = forms.ChoiceField()

    class Meta:
        model = AnalysisMapping
        fields = ("analysis_field", "contact_field", "update_mode", "review", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [choice for choice in contact_field_choices(field_specs()) if choice[0] != PHONE]
        self.fields["contact_field"] = forms.ChoiceField(choices=[("", "choose…"), *choices])


@admin.register(AnalysisMapping)
class AnalysisMappingAdmin(admin.ModelAdmin):
    """What a conversation's analysis writes into the contact."""

    form = AnalysisMappingForm
    list_display = ("analysis_field", "contact_field", "update_mode", "review", "position")
    list_filter = ("update_mode",)
    search_fields = ("analysis_field", "contact_field")


def contact_field_choices(specs: Mapping[str, FieldSpec]) -> list[tuple[str, str]]:
    """Every contact field with its label, name and type."""
    return [(spec.name, f"{spec.label} · {spec.type}") for spec in specs.values()]
