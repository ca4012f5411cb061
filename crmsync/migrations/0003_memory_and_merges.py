from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crmsync", "0002_api_keys_and_organisation")]

    operations = [
        migrations.AddField(
            "organisation",
            "contact_memory",
            models.BooleanField(
                default=False, help_text="Rewrite a contact's memory after each conversation."
            ),
        ),
        migrations.AddField(
            "organisation",
            "contact_memory_reviewed",
            models.BooleanField(
                default=False, help_text="A rewritten memory waits until a person has accepted it."
            ),
        ),
        migrations.AddField(
            "organisation",
            "merge_budget",
            models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="The most that merges may cost in a calendar month (UTC). Empty: CRMSYNC_MERGE_BUDGET.",
                max_digits=10,
                null=True,
            ),
        ),
        migrations.AddField(
            "organisation",
            "reject_field",
            models.CharField(
                blank=True,
                help_text="Inbound calls and SMS of contacts whose field of this name is true are rejected, "
                "for example do_not_call. Empty: none.",
                max_length=63,
            ),
        ),
    ]
