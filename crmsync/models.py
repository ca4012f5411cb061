"""What the top of the house keeps itself."""

from datetime import timedelta

from django.db import models
from django.utils import timezone

from crmsync.api_keys import ApiKey
from crmsync.config_history import ConfigChange
from crmsync.organisation import Organisation
from crmsync.pulse import Pulse
from integrations.secrets import EncryptedJSONField

__all__ = ["ApiKey", "ConfigChange", "Heartbeat", "KeptAnswer", "Organisation", "Pulse"]


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


class KeptAnswer(models.Model):
    """The answer to a call that carried an Idempotency-Key, kept so that its repeat gets the same one.

    No row tells the client's key, and the answer, which holds personal data, is encrypted. `status` is empty while the
    call is under way, which it is until `claimed_until` at the latest.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="kept_answers")
    key_hash = models.CharField(max_length=64)
    request_hash = models.CharField(max_length=64, help_text="Of method, address and body.")
    status = models.PositiveSmallIntegerField(null=True)
    body = EncryptedJSONField(default=str, blank=True)
    claimed_until = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api_key", "key_hash"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"answer {self.status or 'under way'} for {self.api_key}"
