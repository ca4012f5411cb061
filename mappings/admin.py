"""Analysis mappings in the admin; a connection's mappings are edited on its page (crmsync.admin_mappings)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin

from contacts.models import field_specs
from contacts.values import FieldSpec
from mappings.compatibility import PHONE
from mappings.models import AnalysisMapping


class AnalysisMappingForm(forms.ModelForm):
    """Analysis field → contact field; the number is not among the targets."""

    contact_field = forms.ChoiceField()

    class Meta:
        model = AnalysisMapping
        fields = ("analysis_field", "contact_field", "update_mode", "review", "position")
        help_texts = {
            "update_mode": "Overwrite: the latest conversation wins. Fill if empty: only a blank is filled. Merge: a language "
            "model puts the old and the new text together; for texts only.",
            "position": "The mappings of one conversation are applied in this order, lower ones first.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [choice for choice in contact_field_choices(field_specs()) if choice[0] != PHONE]
        self.fields["contact_field"] = forms.ChoiceField(
            choices=[("", "choose…"), *choices],
            help_text="Where the value goes. One that does not fit its type or options is left out; the conversation says why.",
        )


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
