"""App configuration."""

from django.apps import AppConfig


class MappingsConfig(AppConfig):
    """Mappings and the rules made of them."""

    name = "mappings"
    verbose_name = "Mappings"

    def ready(self) -> None:
        """Let the contact book know which fields the mappings use."""
        from contacts.models import field_users
        from mappings.models import mappings_of_field

        field_users.append(mappings_of_field)
