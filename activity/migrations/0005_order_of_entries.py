"""Entries know when their conversation took place, so that due ones are logged in that order along an index."""

import django.utils.timezone
from django.db import migrations, models
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

OPEN = models.Q(("state__in", ["pending", "sending", "unknown"]))


def fill(apps, schema_editor):
    """Of what is not logged yet; of the rest nobody asks."""
    moment = Coalesce("started_at", "ended_at", "created_at")
    took_place = apps.get_model("activity", "Conversation").objects.filter(pk=OuterRef("conversation_id"))
    entries = apps.get_model("activity", "ActivityEntry").objects.exclude(state="logged")
    entries.update(took_place=Subquery(took_place.annotate(moment=moment).values("moment")[:1]))


class Migration(migrations.Migration):
    dependencies = [
        ("activity", "0004_lists_and_parking"),
        ("integrations", "0009_activity_templates"),
    ]

    operations = [
        migrations.AddField(
            "activityentry",
            "took_place",
            models.DateTimeField(
                default=django.utils.timezone.now,
                help_text="When the conversation took place; due ones are logged in this order.",
            ),
        ),
        migrations.AddIndex(
            "activityentry",
            models.Index(condition=OPEN, fields=["connection", "took_place", "id"], name="entry_order"),
        ),
        migrations.AddIndex(
            "activityentry",
            models.Index(
                condition=models.Q(("claimed_until__isnull", False)),
                fields=["connection", "claimed_until"],
                name="entry_claimed",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
