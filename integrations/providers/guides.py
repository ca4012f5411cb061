"""How an operator gets at a CRM's credentials, step by step, and what to look at when they are refused. Words only.

Sources: Salesforce help (External Client Apps, client credentials flow, JWT bearer flow) and HubSpot's developer documents
(service keys, scopes, legacy private apps), as of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Way:
    """One way to be let in. `fills`: the credentials that it ends with, by their names in the registry."""

    title: str
    fills: tuple[str, ...]
    steps: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Guide:
    """What a provider's set-up page tells. `before`: what is needed first; `refused`: what to check after a refusal."""

    summary: str
    before: tuple[str, ...]
    ways: tuple[Way, ...]
    refused: tuple[str, ...]


SALESFORCE = Guide(
    summary="Contacts, with calls and chats logged as tasks. Any edition with API access.",
    before=(
        (
            "A user of its own for the integration (a Salesforce Integration licence is enough), whose permission set has "
            "API Enabled, reads and edits the contacts and fields to sync, and edits tasks. What that user may not see does "
            "not exist for the sync."
        ),
        "The My Domain address: Setup > My Domain, “Current My Domain URL”.",
    ),
    ways=(
        Way(
            "External client app, client credentials flow",
            ("client_id", "client_secret"),
            (
                (
                    "Setup > External Client App Manager > New External Client App. Under API, enable OAuth; any callback "
                    "address will do; choose the scope “Manage user data via APIs (api)”."
                ),
                "Under Flow Enablement tick “Enable Client Credentials Flow”, and create the app.",
                (
                    "On the app's Policies tab, edit: enable the client credentials flow there too and enter the "
                    "integration user as “Run As”."
                ),
                "On the Settings tab, under OAuth Settings, open “Consumer Key and Secret”: the key is the client ID.",
            ),
            "A connected app made earlier works the same way; new ones can no longer be made.",
        ),
        Way(
            "External client app, JWT bearer flow",
            ("client_id", "username", "private_key"),
            (
                (
                    "Make a key and a certificate, for example with: openssl req -x509 -newkey rsa:2048 -nodes -days 730 "
                    "-subj /CN=crmsync -keyout crmsync.key -out crmsync.crt"
                ),
                (
                    "Make the app as above, but tick “Enable JWT Bearer Flow” and upload crmsync.crt. Add the scope “Perform "
                    "requests at any time (refresh_token, offline_access)”."
                ),
                (
                    "On the Policies tab choose “Admin approved users are pre-authorized” and add the integration user's "
                    "permission set."
                ),
                "Enter the consumer key, the integration user's name, and the text of crmsync.key.",
            ),
            "For those who may not store a secret; the private key never leaves this server.",
        ),
    ),
    refused=(
        "A new app takes up to ten minutes until Salesforce knows it.",
        "The address must be the My Domain of this org: production and sandbox have different ones and different apps.",
        "The app's policies name an active “Run As” user (client credentials) or pre-authorise the user (JWT).",
        "Login IP ranges of the user's profile let this server in.",
    ),
)

HUBSPOT = Guide(
    summary="Contacts, with calls logged as calls and chats as communications. Any plan.",
    before=("A super admin, or a user who may manage keys in HubSpot.",),
    ways=(
        Way(
            "Service key",
            ("access_token",),
            (
                "In HubSpot: Development > Keys > Service keys > Create service key.",
                (
                    "Add the scopes crm.objects.contacts.read and crm.objects.contacts.write; also crm.objects.owners.read to "
                    "log conversations under an owner, and crm.schemas.contacts.write only for the option unique_key."
                ),
                "Copy the key. It begins with “pat-” and is shown once.",
            ),
        ),
        Way(
            "Legacy private app",
            ("access_token",),
            (
                (
                    "An existing private app goes on until September 2027: Development > Legacy apps > the app > Auth > Show "
                    "token. It needs the same scopes."
                ),
            ),
            "New private apps can no longer be made; choose a service key.",
        ),
    ),
    refused=(
        "The whole key was copied, with “pat-” at its beginning and without blanks.",
        "It was neither rotated nor deleted in HubSpot: a rotated key ends after seven days.",
        "It has the scopes crm.objects.contacts.read and crm.objects.contacts.write.",
    ),
)
