"""The calls and their addresses, as existing clients of the contract know them, and the document that describes them."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from crmsync.api import backfills, config, connections, contacts, conversations, imports, jobs
from crmsync.api.base import NoSuchCall

urlpatterns: list[URLPattern | URLResolver] = [
    path("get-crm-config", config.GetCrmConfig.as_view()),
    path("update-crm-config", config.UpdateCrmConfig.as_view()),
    path("get-crm-schema", config.GetCrmSchema.as_view()),
    path("run-sync-job", jobs.RunSyncJob.as_view()),
    path("get-sync-job-status", jobs.GetSyncJobStatus.as_view()),
    path("create-contact", contacts.CreateContact.as_view()),
    path("update-contact/<str:contact_id>", contacts.UpdateContact.as_view()),
    path("get-contact/<str:contact_id>", contacts.GetContact.as_view()),
    path("get-contact-by-phone/<str:phone_number>", contacts.GetContactByPhone.as_view()),
    path("delete-contact/<str:contact_id>", contacts.DeleteContact.as_view()),
    path("list-contacts", contacts.ListContacts.as_view()),
    path("backfill-contact-analysis-data", backfills.BackfillContactAnalysisData.as_view()),
    path("get-backfill-contact-job-status", backfills.GetBackfillContactJobStatus.as_view()),
    path("list-contact-conversations/<str:contact_id>", conversations.ListContactConversations.as_view()),
    path("upload-contact-import-file", imports.UploadContactImportFile.as_view()),
    path("create-contact-import", imports.CreateContactImport.as_view()),
    path("get-contact-import", imports.GetContactImport.as_view()),
    path("create-app", connections.CreateApp.as_view()),
    path("update-app/<str:app_id>", connections.UpdateApp.as_view()),
    path("get-app/<str:app_id>", connections.GetApp.as_view()),
    path("list-apps", connections.ListApps.as_view()),
    path("delete-app/<str:app_id>", connections.DeleteApp.as_view()),
    path("test-app-auth/<str:app_id>", connections.TestAppAuth.as_view()),
    path("list-app-usages/<str:app_id>", connections.ListAppUsages.as_view()),
    path("v1/", include("crmsync.api.v1.urls")),
    path("schema/", SpectacularJSONAPIView.as_view(), name="api-schema"),
    path(
        "docs/",
        SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="api/docs.html"),
        name="api-docs",
    ),
    re_path(r"^[\s\S]*$", NoSuchCall.as_view()),
]
