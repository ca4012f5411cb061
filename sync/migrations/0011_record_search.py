from django.db import migrations

from contacts.indexes import settle


class Migration(migrations.Migration):
    dependencies = [("sync", "0010_issue_request_id"), ("contacts", "0008_opted_out")]

    operations = [
        # The search's index on the records, which the contacts' own migration came too early for.
        migrations.RunPython(lambda *_: settle(), migrations.RunPython.noop, elidable=False),
    ]
