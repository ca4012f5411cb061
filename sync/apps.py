"""App configuration."""

from django.apps import AppConfig


class SyncConfig(AppConfig):
    """Pull, push, identity, runs and issues."""

    name = "sync"
    verbose_name = "Sync"
