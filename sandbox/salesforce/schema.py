"""The org's objects and fields as the integration user sees them, and how describe shows them."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.errors import NAMES_HINT, not_found
from sandbox.salesforce.fields import Field
from sandbox.salesforce.ids import PREFIXES
from sandbox.salesforce.objects import FIELDS, OBJECTS
from sandbox.salesforce.record_types import record_type_infos

LABELS = {"Organization": "Organization", "TaskStatus": "Task Status Value", "User": "User"}
WRITABLE = frozenset({"Account", "Contact", "Lead", "Task"})
CALL_CENTER = frozenset({"calldurationinseconds", "calltype", "calldisposition", "callobject"})


class Schema:
    """What the integration user may see and write, under the org's settings at this moment."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._seen: tuple[Any, ...] = ()
        self._visible: dict[str, dict[str, Field]] = {}

    def fields(self, sobject: str) -> dict[str, Field]:
        """The visible fields of an object, keyed by lower-case name."""
        settings = self._settings
        seen = (
            tuple(settings["hidden_fields"]),
            tuple(settings["readonly_fields"]),
            settings["call_center"],
            settings["activity_key_field"],
        )
        if seen != self._seen:
            self._seen, self._visible = seen, {}
        if sobject not in self._visible:
            self._visible[sobject] = self._view(sobject)
        return self._visible[sobject]

    def visible(self, sobject: str) -> bool:
        """Whether the integration user may use the object at all."""
        return sobject.lower() not in [str(name).lower() for name in self._settings["hidden_objects"]]

    def knows(self, sobject: str) -> bool:
        """Whether the org has the object, and the integration user may use it."""
        return sobject in OBJECTS and self.visible(sobject)

    def named(self, name: str) -> str:
        """The object's own spelling of a name given in any case; 404 when there is none that may be used."""
        found = next((known for known in OBJECTS if known.lower() == name.lower()), None)
        if found is None or not self.visible(found):
            raise not_found()
        return found

    def field(self, sobject: str, name: str) -> Field | None:
        """One visible field by name, in any case."""
        return self.fields(sobject).get(name.lower())

    def _view(self, sobject: str) -> dict[str, Field]:
        hidden, readonly = self._named("hidden_fields", sobject), self._named("readonly_fields", sobject)
        if sobject == "Task":
            hidden |= set() if self._settings["call_center"] else CALL_CENTER
            hidden |= set() if self._settings["activity_key_field"] else {"conversation_key__c"}
        fields = {key: field for key, field in FIELDS[sobject].items() if key not in hidden}
        return {key: field.read_only() if key in readonly else field for key, field in fields.items()}

    def _named(self, setting: str, sobject: str) -> set[str]:
        """Settings name fields as `Phone` (of any object) or `Contact.Phone`."""
        names = (str(name).lower().rpartition(".") for name in self._settings[setting])
        return {field for owner, _, field in names if owner in ("", sobject.lower())}


def no_such_column(sobject: str, name: str) -> str:
    """The words for an unknown field in a query."""
    return (
        f"No such column '{name}' on entity '{sobject}'. If you are attempting to use a custom field, "
        f"be sure to append the '__c' after the custom field name. {NAMES_HINT}"
    )


def described(sobject: str, fields: dict[str, Field], base: str) -> dict[str, Any]:
    """The full describe answer; `base` is `/services/data/vNN.0`."""
    summary = summarised(sobject, base)
    return summary | {
        "actionOverrides": [],
        "childRelationships": [],
        "compactLayoutable": True,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": record_type_infos(sobject, summary["urls"]["describe"]),
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {summary['labelPlural'].lower()}", "name": "everything"}],
        "fields": [field.described for field in fields.values()],
    }


def summarised(sobject: str, base: str) -> dict[str, Any]:
    """The object's entry in the global describe."""
    label, writable, url = LABELS.get(sobject, sobject), sobject in WRITABLE, f"{base}/sobjects/{sobject}"
    person = sobject in ("Account", "Contact", "Lead")
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": writable,
        "custom": False,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": writable,
        "deprecatedAndHidden": False,
        "feedEnabled": writable,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": PREFIXES[sobject],
        "label": label,
        "labelPlural": f"{label}s",
        "layoutable": writable,
        "mergeable": person,
        "mruEnabled": person,
        "name": sobject,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": writable,
        "triggerable": writable,
        "undeletable": writable,
        "updateable": writable,
        "urls": {
            "compactLayouts": f"{url}/describe/compactLayouts",
            "rowTemplate": url + "/{ID}",
            "describe": f"{url}/describe",
            "layouts": f"{url}/describe/layouts",
            "sobject": url,
        },
    }
