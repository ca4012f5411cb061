"""The top app: at start it registers the system checks, and after each migrate it sees to the schedules."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CrmsyncConfig(AppConfig):
    """Settings, faces and workers."""

    name = "crmsync"
    verbose_name = "Server"

    def ready(self) -> None:
        """Hook into Django's own start."""
        from crmsync import checks  # noqa: F401 (importing registers them)
        from crmsync.schedules import ensure_schedules

        post_migrate.connect(ensure_schedules, sender=self, dispatch_uid="crmsync.schedules")
