from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0003_contacttag_listed")]

    operations = [
        migrations.AddField(
            "contact",
            "contact_memory",
            models.TextField(
                "memory",
                blank=True,
                default="",
                help_text="A running brief, rewritten after each conversation.",
            ),
        ),
        migrations.AddField(
            "customfield",
            "private",
            models.BooleanField(default=False, help_text="Never told to an agent."),
        ),
        migrations.AddField(
            "customfield",
            "fallback",
            models.CharField(
                blank=True, help_text="What an agent is told when a contact has no value.", max_length=255
            ),
        ),
    ]
