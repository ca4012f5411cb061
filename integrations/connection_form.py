"""The form of a connection: its settings, and its credentials, which go in and never come out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join

from contacts.admin import OneALine
from integrations.models import Connection
from integrations.providers.errors import ConfigError
from integrations.providers.registry import PROVIDERS, Credential
from integrations.template_language import FILTERS, VARIABLES

SECRET = "secret_"  # noqa: S105 (a prefix)

TEMPLATE_HELP = format_html(
    "<p>Write <code>{{{{ summary }}}}</code> for a value, <code>|truncate(200)</code> after it for a filter, and "
    "<code>{{% if outcome %}}…{{% endif %}}</code> for what may be missing. The conversation's id is always added, so that "
    "it is found again. “What is logged” on the connection's page tries the text on a real conversation before it is saved.</p>"
    '<details><summary>All variables and filters</summary><dl class="variables">{}</dl><p>Filters: {}.</p></details>',
    format_html_join("", "<div><dt><code>{}</code></dt><dd>{}</dd></div>", VARIABLES.items()),
    ", ".join(sorted(FILTERS)),
)


class ConnectionForm(forms.ModelForm):
    """What all providers have in common; `form_for` adds the secret fields of one."""

    secret_names: tuple[str, ...] = ()
    provider_key = ""
    phone_fields = OneALine(
        required=False,
        label="Further phone fields",
        help_text="CRM fields, one a line, to look into in this order when the mapped phone field holds no usable number.",
    )

    class Meta:
        model = Connection
        fields = ("provider", "name", "tenant_url", "rank", "phone_region", "enabled", "interval_minutes", "options",
                  "sync_conversation_activity", "activity_title", "activity_body", "sync_new_contacts",
                  "duplicate_policy", "delete_policy", "phone_fields", "overwrite_floor", "overwrite_percent",
                  "reconcile_hours")  # fmt: skip
        labels = {
            "interval_minutes": "Minutes between syncs",
            "duplicate_policy": "Several records with one number",
            "delete_policy": "A record is deleted in the CRM",
            "overwrite_floor": "Overwrites before it asks",
            "overwrite_percent": "… or percent of the contacts",
            "reconcile_hours": "Hours between reconciliations",
        }
        help_texts = {
            "interval_minutes": "How often changes made in the CRM come in. A sync that finds nothing costs an API call or two.",
            "sync_new_contacts": "After a conversation with somebody who has no record there, one is created with all values "
            "that are mapped out.",
            "rank": "When a contact is first linked and two CRMs hold different values, the lower rank keeps its own.",
            "duplicate_policy": "Which of them becomes the contact's. The others stay out, are listed with the reason, and "
            "change nothing. What a person chooses holds.",
            "delete_policy": "What becomes of the contact. An archived one is no longer pushed and comes back with its record or "
            "a conversation; a deleted one is gone with its history.",
        }
        widgets = {
            "provider": forms.HiddenInput,
            "activity_title": forms.TextInput(attrs={"spellcheck": "false"}),
            "activity_body": forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.credentials if self.instance.pk else {}
        for name in self.secret_names:
            if stored.get(name) and (field := self.fields.get(SECRET + name)):
                field.widget.attrs["placeholder"] = "stored"
                field.help_text = (
                    f"{field.help_text} Stored encrypted and never shown; leave blank to keep it.".strip()
                )
        if address := self.fields.get("tenant_url"):
            address.help_text = PROVIDERS[self.provider_key].url_help
            address.required = PROVIDERS[self.provider_key].needs_address

    def given(self) -> dict[str, str]:
        """The secrets that were typed in."""
        typed = {name: str(self.cleaned_data.get(SECRET + name) or "").strip() for name in self.secret_names}
        return {name: text for name, text in typed.items() if text}

    def chosen(self) -> dict[str, str]:
        """The credentials to store: what was typed in, completed from what is stored."""
        stored, given = self.instance.credentials or {}, self.given()
        return PROVIDERS[self.provider_key].chosen(given, stored) if given else dict(stored)

    def clean(self) -> dict[str, Any]:
        """One complete set of credentials; stored ones are not sent to an address that they were not entered for."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        moved = bool(self.instance.pk and self.instance.credentials) and "tenant_url" in self.changed_data
        if not self.given() and not moved:
            return cleaned
        stored = {} if moved or not self.instance.pk else self.instance.credentials
        try:
            PROVIDERS[self.provider_key].chosen(self.given(), stored)
        except ConfigError as error:
            words = (
                "Enter it again: stored credentials are never sent to a new address."
                if moved
                else error.message
            )
            for name in (moved and self._of_stored_set()) or [error.field]:
                self.add_error(SECRET + name, words)
        return cleaned

    def _of_stored_set(self) -> list[str]:
        """The credentials that a new address needs anew."""
        held = self.instance.credentials
        return [name for name in self.secret_names if held.get(name) and not self.given().get(name)]

    @property
    def access_changed(self) -> bool:
        """Whether the CRM has to be asked anew who we are."""
        return bool(self.given()) or "tenant_url" in self.changed_data


def form_for(provider: str) -> type[ConnectionForm]:
    """The form for connections of one provider."""
    entry = PROVIDERS[provider]
    names = entry.every_credential
    fields: dict[str, Any] = {SECRET + name: _secret_field(entry.asks(name)) for name in names}
    return type(
        "ProviderConnectionForm",
        (ConnectionForm,),
        {**fields, "secret_names": names, "provider_key": provider},
    )


def _secret_field(asked: Credential) -> forms.CharField:
    attrs = {"autocomplete": "new-password", "class": "vTextField", "spellcheck": "false"}
    widgets: dict[str, forms.Widget] = {
        "text": forms.TextInput(attrs={**attrs, "autocomplete": "off"}),
        "secret": forms.PasswordInput(render_value=False, attrs=attrs),
        "key": forms.Textarea(attrs={**attrs, "class": "vLargeTextField", "rows": 6}),
    }
    return NeverShown(
        label=asked.label, required=False, max_length=8000, widget=widgets[asked.kind], help_text=asked.help
    )


class NeverShown(forms.CharField):
    """What was typed in is not sent back with a form that has errors."""

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        """Always drawn empty."""
        return _Blank(form, self, field_name)


class _Blank(forms.BoundField):
    def value(self) -> str:
        return ""
