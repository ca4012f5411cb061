"""Mappings in the admin: inlines for the connection's page, and the analysis mappings of the organisation."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from contacts.models import field_specs
from integrations.models import Connection
from integrations.providers.base import ExternalField
from mappings.models import AnalysisMapping, InboundMapping, OutboundMapping

READABLE, WRITABLE = "crm-fields-in", "crm-fields-out"
PHONE = "phone_number"


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


class CrmMappingInline(admin.TabularInline):
    """Rows of one direction, with the CRM's label and type beside each field."""

    form = CrmMappingForm
    formset = CrmMappingFormSet
    extra = 0
    readonly_fields = ("in_the_crm",)
    datalist = READABLE
    known: dict[str, ExternalField]

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """With the choices of this connection, read once for all rows."""
        self.known = obj.external_fields() if isinstance(obj, Connection) else {}
        choices = [("", "choose…"), *contact_field_choices()]
        attributes = {
            "schema": self.known,
            "contact_field": forms.ChoiceField(label="Contact field", choices=choices),
            "external_field": forms.CharField(
                label="CRM field", max_length=255,
                widget=forms.TextInput(
                    attrs={"list": self.datalist, "autocomplete": "off", "spellcheck": "false", "class": "pick"}
                ),
            ),
        }  # fmt: skip
        kwargs["form"] = type(self.form.__name__, (self.form,), attributes)
        return super().get_formset(request, obj, **kwargs)

    @admin.display(description="in the CRM")
    def in_the_crm(self, mapping: InboundMapping | OutboundMapping) -> SafeString | str:
        """Label and type of the CRM field, or that it is missing there."""
        if not mapping.pk or not self.known:
            return ""
        field = self.known.get(mapping.external_field)
        if field is None:
            return format_html('<span class="chip chip-bad">{}</span>', "missing in the CRM")
        return format_html('{} <span class="quiet">{}</span>', field.label, field.type)


class InboundInline(CrmMappingInline):
    """CRM → contact."""

    model = InboundMapping
    fields = ("external_field", "in_the_crm", "contact_field", "conflict_policy", "blank_policy")
    verbose_name_plural = "Inbound: from the CRM into the contact"


class OutboundInline(CrmMappingInline):
    """Contact → CRM."""

    model = OutboundMapping
    fields = ("contact_field", "external_field", "in_the_crm", "blank_policy")
    verbose_name_plural = "Outbound: from the contact into the CRM"
    datalist = WRITABLE


class AnalysisMappingForm(forms.ModelForm):
    """Analysis field → contact field; the number is not among the targets."""

    contact_field = forms.ChoiceField()

    class Meta:
        model = AnalysisMapping
        fields = ("analysis_field", "contact_field", "update_mode", "position")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [choice for choice in contact_field_choices() if choice[0] != PHONE]
        self.fields["contact_field"] = forms.ChoiceField(choices=[("", "choose…"), *choices])


@admin.register(AnalysisMapping)
class AnalysisMappingAdmin(admin.ModelAdmin):
    """What a conversation's analysis writes into the contact."""

    form = AnalysisMappingForm
    list_display = ("analysis_field", "contact_field", "update_mode", "position")
    list_filter = ("update_mode",)
    search_fields = ("analysis_field", "contact_field")


def contact_field_choices() -> list[tuple[str, str]]:
    """Every contact field with its label, name and type."""
    return [(spec.name, f"{spec.label} · {spec.type}") for spec in field_specs().values()]
