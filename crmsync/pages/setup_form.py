"""The forms of the set-up: how to reach a CRM, and what of its fields is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import QueryDict

from integrations.connection_form import SECRET, ConnectionForm, form_for
from integrations.providers.registry import PROVIDERS
from mappings.offers import Offer, Way


class AccessForm(ConnectionForm):
    """Name, address and credentials; everything else about the connection has its own place in the setup."""

    phone_fields = None  # type: ignore[assignment]  # Django's way to leave a declared field out

    class Meta(ConnectionForm.Meta):
        fields = ("provider", "name", "tenant_url", "phone_region")  # type: ignore[assignment]

    def add_error(self, field: str | None, error: Any) -> None:
        """What the connection as a whole finds wrong with a setting that is not asked here stands at the top."""
        if field is None and isinstance(error, ValidationError) and hasattr(error, "error_dict"):
            known: dict[str, list[Any]] = {}
            for name, found in error.error_dict.items():
                known.setdefault(name if name in self.fields else NON_FIELD_ERRORS, []).extend(found)
            error = ValidationError(known)
        super().add_error(field, error)


def access_form_for(provider: str) -> type[AccessForm]:
    """The form with the provider's secret fields."""
    of_provider = form_for(provider)
    secrets = {name: field for name, field in of_provider.declared_fields.items() if name.startswith(SECRET)}
    names = PROVIDERS[provider].every_credential
    return type(
        "ProviderAccessForm", (AccessForm,), {**secrets, "secret_names": names, "provider_key": provider}
    )


def sets_of(form: AccessForm) -> list[tuple[str, list[forms.BoundField]]]:
    """The credentials by the set they belong to; what several sets share comes first, once."""
    entry = PROVIDERS[form.provider_key]
    shared = set.intersection(*(set(names) for names in entry.credential_sets))
    several = len(entry.credential_sets) > 1
    found = (
        [("", [form[SECRET + name] for name in entry.every_credential if name in shared])] if several else []
    )
    titles = [way.title for way in entry.guide.ways] if entry.guide else []
    for number, names in enumerate(entry.credential_sets):
        title = titles[number] if several and number < len(titles) else ""
        found.append((title, [form[SECRET + name] for name in names if not (several and name in shared)]))
    return [(title, fields) for title, fields in found if fields]


class Choices:
    """What was ticked on the mapping page, as it was sent; so nothing is lost when a row has to be mended."""

    def __init__(self, data: QueryDict) -> None:
        self.phone = data.get("phone", "")
        self.listed = data.getlist("listed")
        self.chosen = {key: _way(data, key) for key in data.getlist("take")}
        self.made = {name: _way(data, name) for name in data.getlist("make")}
        self.switches = {name: name in data for name in ("sync_conversation_activity", "sync_new_contacts")}


def rows_of(
    shown: Sequence[Offer], chosen: Mapping[str, Way] | None, errors: Mapping[str, list[str]], *, fresh: bool
) -> list[dict[str, Any]]:
    """The offers as the page draws them. `chosen`: what was sent before; `fresh`: nothing was ever saved, so all are ticked."""
    return [
        {
            "offer": one,
            "name": (name := one.external.name if one.new else one.key),
            "taken": name in chosen if chosen is not None else one.saved or (fresh and not one.new),
            "way": (chosen or {}).get(name, one.way),
            "errors": errors.get(name, []),
        }
        for one in shown
    ]


def _way(data: QueryDict, key: str) -> Way:
    asked = data.get(f"way-{key}", "")
    return Way(asked) if asked in set(Way) else Way.IN
