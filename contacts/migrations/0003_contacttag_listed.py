from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_fields")]

    operations = [
        migrations.AlterField("contacttag", "label", models.CharField(max_length=120)),
        migrations.AddField(
            "contacttag",
            "listed",
            models.BooleanField(
                default=True,
                help_text="Offered and shown. A tag that is no longer listed stays on its contacts.",
            ),
        ),
        migrations.AddConstraint(
            "contacttag",
            models.UniqueConstraint(
                fields=["label"], condition=models.Q(listed=True), name="one_listed_tag_per_label"
            ),
        ),
    ]
