"""The form of a connection: its settings, and its credentials, which go in and never come out."""

from __future__ import annotations

from typing import Any

from django import forms

from integrations.models import Connection
from integrations.providers.registry import PROVIDERS

SECRET = "secret_"  # noqa: S105 (a prefix)
_SIGNS = {"id": "ID", "url": "URL"}


class ConnectionForm(forms.ModelForm):
    """What all providers have in common; `form_for` adds the secret fields of one."""

    secret_names: tuple[str, ...] = ()
    provider_key = ""

    class Meta:
        model = Connection
        fields = ("provider", "name", "tenant_url", "rank", "phone_region", "enabled", "interval_minutes", "options",
                  "sync_conversation_activity", "sync_new_contacts", "duplicate_policy", "delete_policy")  # fmt: skip
        widgets = {"provider": forms.HiddenInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.credentials if self.instance.pk else {}
        for name in self.secret_names:
            if stored.get(name) and (field := self.fields.get(SECRET + name)):
                field.widget.attrs["placeholder"] = "stored"
                field.help_text = "Stored encrypted and never shown. Leave blank to keep it."
        if address := self.fields.get("tenant_url"):
            address.help_text = PROVIDERS[self.provider_key].url_help

    def given(self) -> dict[str, str]:
        """The secrets that were typed in."""
        typed = {name: str(self.cleaned_data.get(SECRET + name) or "").strip() for name in self.secret_names}
        return {name: text for name, text in typed.items() if text}

    def clean(self) -> dict[str, Any]:
        """Stored secrets are not sent to an address that they were not entered for."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stored = bool(self.instance.pk and self.instance.credentials)
        if stored and "tenant_url" in self.changed_data and set(self.given()) != set(self.secret_names):
            for name in self.secret_names:
                self.add_error(
                    SECRET + name, "Enter it again: stored credentials are never sent to a new address."
                )
        return cleaned

    @property
    def access_changed(self) -> bool:
        """Whether the CRM has to be asked anew who we are."""
        return bool(self.given()) or "tenant_url" in self.changed_data


def form_for(provider: str) -> type[ConnectionForm]:
    """The form for connections of one provider."""
    names = PROVIDERS[provider].credentials
    fields: dict[str, Any] = {SECRET + name: _secret_field(name) for name in names}
    return type(
        "ProviderConnectionForm",
        (ConnectionForm,),
        {**fields, "secret_names": names, "provider_key": provider},
    )


def _secret_field(name: str) -> forms.CharField:
    label = " ".join(_SIGNS.get(word, word) for word in name.split("_"))
    widget = forms.PasswordInput(
        render_value=False,
        attrs={"autocomplete": "new-password", "class": "vTextField", "spellcheck": "false"},
    )
    return forms.CharField(
        label=label[:1].upper() + label[1:], required=False, max_length=4000, widget=widget
    )
