"""App configuration."""

from django.apps import AppConfig


class SyncConfig(AppConfig):
    """Pull, push, identity, runs and issues."""

    name = "sync"
    verbose_name = "Sync"

    def ready(self) -> None:
        """Part of a CRM record's id finds its contact, by an index."""
        from contacts.indexes import TRIGRAMS, trigram_indexes

        trigram_indexes["record_search"] = (
            "sync_externalrecord",
            f"USING gin (upper(external_id) {TRIGRAMS})",
        )
