"""The properties that the sandbox portal has: HubSpot's own that matter here, and the team's custom ones."""

from __future__ import annotations

from sandbox.hubspot.schema import Property, Schema, choices

CHANNELS = "SMS=SMS, WHATS_APP=WhatsApp, LINKEDIN_MESSAGE=LinkedIn message"
CUSTOM_CHANNEL = "CUSTOM_CHANNEL_CONVERSATION"
DIRECTIONS = "INBOUND=Inbound, OUTBOUND=Outbound"
PLANS = "free=Free, starter=Starter, pro=Pro, enterprise=Enterprise"
SOURCES = "CRM_UI=CRM UI, INTEGRATION=Integration, IMPORT=Import, MERGE_OBJECTS=Merge"
TASK_STATUSES = (
    "NOT_STARTED=Not started, IN_PROGRESS=In progress, WAITING=Waiting, "
    "COMPLETED=Completed, DEFERRED=Deferred"
)
CALL_STATUSES = (
    "BUSY=Busy, CALLING_CRM_USER=Calling CRM user, CANCELED=Canceled, COMPLETED=Completed, "
    "CONNECTING=Connecting, FAILED=Failed, HOLD=Hold, IN_PROGRESS=In progress, MISSED=Missed, "
    "NO_ANSWER=No answer, QUEUED=Queued, "
    "RINGING=Ringing, UNKNOWN=Unknown"
)
DISPOSITIONS = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "Connected",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "No answer",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "Busy",
    "17b47fee-58de-441e-a44c-c6300d46f273": "Wrong number",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "Left live message",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "Left voicemail",
}
STAGES = (
    "subscriber=Subscriber, lead=Lead, marketingqualifiedlead=Marketing Qualified Lead, "
    "salesqualifiedlead=Sales Qualified Lead, opportunity=Opportunity, customer=Customer, "
    "evangelist=Evangelist, other=Other"
)
LEAD_STATUSES = (
    "NEW=New, OPEN=Open, IN_PROGRESS=In Progress, OPEN_DEAL=Open Deal, UNQUALIFIED=Unqualified, "
    "ATTEMPTED_TO_CONTACT=Attempted to Contact, CONNECTED=Connected, BAD_TIMING=Bad Timing"
)


def contacts() -> Schema:
    """The contact object: standard, derived and custom properties."""
    return Schema([*_person(), *_sales(), *_derived("contactinformation"), *_derived_contact(), *_custom()])


def calls() -> Schema:
    """The call object."""
    return Schema([
        *_engagement(),
        _own("hs_call_title", "Call Title"),
        _own("hs_call_body", "Call notes", "string", "html"),
        _own("hs_call_duration", "Call duration", "number", "number"),
        _own("hs_call_direction", "Call direction", "enumeration", "select", DIRECTIONS),
        _own("hs_call_from_number", "From Number"),
        _own("hs_call_to_number", "To Number"),
        _own("hs_call_status", "Call status", "enumeration", "select", CALL_STATUSES),
        _own("hs_call_disposition", "Call outcome", "enumeration", "select",
             ", ".join(f"{value}={label}" for value, label in DISPOSITIONS.items())),
        _own("hs_call_recording_url", "Recording URL"),
        _own("hs_call_callee_object_id", "Callee object ID", "number", "number"),
        _own("hs_call_callee_object_type", "Callee object type"),
        _own("hs_call_callee_object_type_id", "Callee object type ID"),
        _own("hs_call_source", "Call Source"),
        _own("hs_call_app_id", "Call app ID", "number", "number"),
        _own("hs_call_external_id", "External ID"),
    ])  # fmt: skip


def communications() -> Schema:
    """The communication object (messages of SMS, WhatsApp, LinkedIn and, switchable, custom channels)."""
    channels = f"{CHANNELS}, {CUSTOM_CHANNEL}=Custom channel conversation"
    return Schema(
        [
            *_engagement(),
            _own("hs_communication_channel_type", "Channel Type", "enumeration", "select", channels),
            _own("hs_communication_logged_from", "Logged From", "enumeration", "select", "CRM=CRM"),
            _own("hs_communication_body", "Communication Body", "string", "html"),
        ]
    )


def notes() -> Schema:
    """The note object."""
    return Schema([*_engagement(), _own("hs_note_body", "Note body", "string", "html")])


def tasks() -> Schema:
    """The task object."""
    return Schema(
        [
            *_engagement(),
            _own("hs_task_subject", "Task Title"),
            _own("hs_task_body", "Task notes", "string", "html"),
            _own("hs_task_status", "Task Status", "enumeration", "select", TASK_STATUSES),
            _own(
                "hs_task_priority",
                "Priority",
                "enumeration",
                "select",
                "NONE=None, LOW=Low, MEDIUM=Medium, HIGH=High",
            ),
            _own("hs_task_type", "Task Type", "enumeration", "select", "TODO=To-do, CALL=Call, EMAIL=Email"),
        ]
    )


def _own(name: str, label: str, kind: str = "string", form: str = "text", options: str = "") -> Property:
    return Property(name, label, kind, form, "engagement", options=choices(options) if options else [])


def _engagement() -> list[Property]:
    return [
        *_derived("engagement"),
        _own("hs_timestamp", "Activity date", "datetime", "date"),
        Property("hs_createdate", "Create date", "datetime", "date", "engagement", read_only=True),
        Property("hs_lastmodifieddate", "Last modified", "datetime", "date", "engagement", read_only=True),
        Property("hs_activity_type", "Activity type", "string", "text", "engagement"),
        Property("hs_attachment_ids", "Attached file IDs", "string", "text", "engagement"),
        Property("hs_body_preview", "Body preview", "string", "text", "engagement", read_only=True),
        Property("hs_engagement_source", "Source", "string", "text", "engagement"),
        Property("hs_engagement_source_id", "Source ID", "string", "text", "engagement"),
        Property(
            "hubspot_owner_id",
            "Activity assigned to",
            "enumeration",
            "select",
            "engagement",
            external="OWNER",
        ),
    ]


def _person() -> list[Property]:
    return [
        Property("firstname", "First Name", form_field=True, order=0),
        Property("lastname", "Last Name", form_field=True, order=1),
        Property("email", "Email", form_field=True, order=2),
        Property("phone", "Phone Number", field_type="phonenumber", form_field=True, order=3),
        Property("mobilephone", "Mobile Phone Number", field_type="phonenumber", form_field=True, order=4),
        Property("hs_whatsapp_phone_number", "WhatsApp Phone Number", field_type="phonenumber"),
        Property("fax", "Fax Number"),
        Property("salutation", "Salutation"),
        Property("jobtitle", "Job Title", form_field=True),
        Property("company", "Company Name", form_field=True),
        Property("website", "Website URL"),
        Property("address", "Street Address", form_field=True),
        Property("city", "City", form_field=True),
        Property("state", "State/Region", form_field=True),
        Property("zip", "Postal Code", form_field=True),
        Property("country", "Country/Region", form_field=True),
        Property("message", "Message", field_type="textarea"),
        Property("date_of_birth", "Date of birth"),
        Property("hs_language", "Preferred language", "enumeration", "select",
                 options=choices("en=English, de=German, es=Spanish, fr=French, vi=Vietnamese")),
    ]  # fmt: skip


def _sales() -> list[Property]:
    return [
        Property("lifecyclestage", "Lifecycle Stage", "enumeration", "radio", options=choices(STAGES)),
        Property("hs_lead_status", "Lead Status", "enumeration", "radio", "sales_properties",
                 options=choices(LEAD_STATUSES)),
        Property("hubspot_owner_id", "Contact owner", "enumeration", "select", "sales_properties",
                 external="OWNER"),
        Property("notes_last_updated", "Last Activity Date", "datetime", "date", "sales_properties",
                 read_only=True),
        Property("num_notes", "Number of Sales Activities", "number", "number", "sales_properties",
                 read_only=True),
    ]  # fmt: skip


def _derived(group: str) -> list[Property]:
    return [
        Property("hs_object_id", "Record ID", "number", "number", group, read_only=True, unique=True),
        Property("hs_object_source", "Record creation source", "string", "text", group, read_only=True),
        Property("hs_object_source_label", "Record source", "enumeration", "select", group, read_only=True,
                 options=choices(SOURCES)),
        Property("hs_unique_creation_key", "Unique creation key", "string", "text", group,
                 read_only=True, hidden=True, unique=True),
        Property("hs_merged_object_ids", "Merged record IDs", "enumeration", "checkbox", group,
                 read_only=True),
    ]  # fmt: skip


def _calculated(name: str) -> Property:
    label = name.removeprefix("hs_").replace("_", " ").capitalize()
    return Property(name, label, field_type="calculation_equation", calculated=True, hidden=True)


def _derived_contact() -> list[Property]:
    names = (
        "hs_calculated_phone_number", "hs_calculated_mobile_number", "hs_searchable_calculated_phone_number",
        "hs_searchable_calculated_mobile_number", "hs_searchable_calculated_international_phone_number",
        "hs_searchable_calculated_international_mobile_number", "hs_calculated_merged_vids",
        "hs_full_name_or_email", "hs_email_domain",
    )  # fmt: skip
    return [
        Property("createdate", "Create Date", "datetime", "date", read_only=True),
        Property("lastmodifieddate", "Last Modified Date", "datetime", "date", read_only=True),
        Property("hs_all_contact_vids", "All vids for a contact", "enumeration", "checkbox", read_only=True),
        Property("hs_additional_emails", "Additional emails", "enumeration", "checkbox", read_only=True),
        Property("hs_is_contact", "Is a contact", "bool", "booleancheckbox", read_only=True, hidden=True),
        *map(_calculated, names),
    ]


def _custom() -> list[Property]:
    group, yes_no = "customer_success", "true=Yes, false=No"
    return [
        Property("plan", "Plan", "enumeration", "select", group, "The plan that the customer pays for.",
                 choices(PLANS), own=True, form_field=True),
        Property("lifetime_value", "Lifetime value", "number", "number", group, own=True),
        Property("renewal_date", "Renewal date", "date", "date", group, own=True),
        Property("last_visit", "Last visit", "datetime", "date", group, own=True),
        Property("vip", "VIP", "bool", "booleancheckbox", group, options=choices(yes_no), own=True),
        Property("notes_summary", "Notes summary", "string", "textarea", group, own=True),
        Property("interests", "Interests", "string", "text", group, own=True),
        Property("do_not_call", "Do not call", "bool", "booleancheckbox", group, options=choices(yes_no),
                 own=True),
        Property("nickname", "Nickname", "string", "text", group, own=True),
        Property("score", "Score", "number", "calculation_equation", group, calculated=True, read_only=True,
                 own=True, formula="if(is_known(lifetime_value), lifetime_value / 1000, 0)"),
    ]  # fmt: skip
