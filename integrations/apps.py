"""App configuration."""

from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    """Connections and providers."""

    name = "integrations"
    verbose_name = "Integrations"
