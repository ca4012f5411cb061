"""App configuration."""

from django.apps import AppConfig


class ActivityConfig(AppConfig):
    """Conversations, deliveries and the activity log."""

    name = "activity"
    verbose_name = "Conversations"
