"""Where the agents' platform posts its events."""

from django.urls import URLPattern, URLResolver, path

from activity import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("retell/", views.events, name="retell_events"),
    path("retell/inbound/", views.inbound, name="retell_inbound"),
]
