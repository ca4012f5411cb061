"""Where everything is. Paths that callers outside rely on are listed in README.md."""

from django.contrib import admin
from django.urls import include, path

from crmsync import health

handler400 = "crmsync.api.errors.bad_request"
handler500 = "crmsync.api.errors.server_failed"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("api/", include("crmsync.api.urls")),
    path("webhooks/", include("activity.urls")),
    path("", include("crmsync.pages.urls")),
]
