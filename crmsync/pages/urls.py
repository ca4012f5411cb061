"""Routes of the pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from crmsync.pages import contacts, conversations, dashboard, deliveries, edit, issues, profile, runs, signin

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("connections/<str:public_id>/sync/", dashboard.sync_now, name="sync-now"),
    path("contacts/", contacts.contact_list, name="contacts"),
    path("contacts/new/", edit.new, name="contact-new"),
    path("contacts/<str:public_id>/", profile.profile, name="contact"),
    path("contacts/<str:public_id>/edit/", edit.edit, name="contact-edit"),
    path("conversations/", conversations.conversation_list, name="conversations"),
    path("conversations/<int:pk>/", conversations.conversation, name="conversation"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("issues/", issues.issue_list, name="issues"),
    path("deliveries/", deliveries.delivery_list, name="deliveries"),
    path("deliveries/<int:pk>/", deliveries.delivery, name="delivery"),
    path("login/", signin.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
