"""The top app: at start it registers the system checks, and after each migrate it sees to the schedules."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class HouseAdmin(admin_apps.AdminConfig):
    """Django's admin with our site in it: grouped in the order one works, one place to sign in."""

    default = False
    default_site = "crmsync.admin_site.House"


class CrmsyncConfig(AppConfig):
    """Settings, faces and workers."""

    default = True
    name = "crmsync"
    verbose_name = "Server"

    def ready(self) -> None:
        """Hook into Django's own start."""
        from activity import governance
        from activity.signatures import key_sources
        from crmsync import checks  # noqa: F401 (importing registers them)
        from crmsync.api_keys import webhook_secrets
        from crmsync.config_watch import watch
        from crmsync.organisation import governance as organisation_rules
        from crmsync.roles import ensure_roles
        from crmsync.schedules import ensure_schedules

        key_sources.append(webhook_secrets)
        governance.sources.append(organisation_rules)
        watch()
        post_migrate.connect(ensure_schedules, sender=self, dispatch_uid="crmsync.schedules")
        post_migrate.connect(ensure_roles, sender=self, dispatch_uid="crmsync.roles")
