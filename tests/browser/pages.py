"""Every page there is, for whoever has to look at all of them."""

from __future__ import annotations

from tests.browser.stack import Stack

LISTS = {
    "dashboard": "/",
    "contacts": "/contacts/",
    "contact-new": "/contacts/new/",
    "conversations": "/conversations/",
    "runs": "/runs/",
    "issues": "/issues/",
    "questions": "/questions/",
    "reviews": "/reviews/",
    "deliveries": "/deliveries/",
    "backfills": "/backfills/",
    "imports": "/imports/",
    "agent-view": "/agent-view/?number=%2B16465551001",
    "not-found": "/contacts/contact_that_is_not_there/",
    "admin": "/admin/",
    "admin-connections": "/admin/integrations/connection/",
    "admin-connection-new": "/admin/integrations/connection/add/",
    "admin-fields": "/admin/contacts/customfield/",
    "admin-field-new": "/admin/contacts/customfield/add/",
    "admin-analysis-mappings": "/admin/mappings/analysismapping/",
    "admin-deliveries": "/admin/activity/webhookdelivery/",
    "admin-issues": "/admin/sync/syncissue/",
    "admin-people": "/admin/auth/user/",
    "admin-api-keys": "/admin/crmsync/apikey/",
    "admin-history": "/admin/crmsync/configchange/",
    "login": "/login/",
    "setup": "/setup/",
    "setup-new": "/setup/new/salesforce/",
}


def all_pages(stack: Stack) -> dict[str, str]:
    """Name → address, of lists and of the seed's own rows."""
    return LISTS | stack.places
