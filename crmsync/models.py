"""What the top of the house keeps itself."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from crmsync.api_keys import ApiKey
from crmsync.organisation import Organisation

__all__ = ["ApiKey", "Heartbeat", "Organisation"]


class Heartbeat(models.Model):
    """A sign of life: a row per regular task, stamped each time it runs, so that silence can be seen."""

    name = models.CharField(max_length=40, primary_key=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.beat_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def beat(cls, name: str = "sweep") -> None:
        """Stamp `name` as alive now."""
        cls.objects.update_or_create(name=name, defaults={"beat_at": timezone.now()})

    @classmethod
    def age(cls, name: str = "sweep") -> timedelta | None:
        """How long `name` has been silent; None when it never ran."""
        last = cls.objects.filter(name=name).values_list("beat_at", flat=True).first()
        return None if last is None else timezone.now() - last
