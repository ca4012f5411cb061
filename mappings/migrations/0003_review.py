from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mappings", "0002_trust")]

    operations = [
        migrations.AddField(
            "analysismapping",
            "review",
            models.CharField(
                choices=[("automatic", "written at once"), ("reviewed", "waits for a person")],
                default="automatic",
                help_text="Of merges: written at once, or only when a person has accepted them.",
                max_length=9,
            ),
        ),
    ]
