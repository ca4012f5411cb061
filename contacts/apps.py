"""App configuration."""

from django.apps import AppConfig


class ContactsConfig(AppConfig):
    """The lowest app of the house."""

    name = "contacts"
    verbose_name = "Contacts"
