from django.db import migrations, models

from contacts.indexes import settle


class Migration(migrations.Migration):
    dependencies = [("contacts", "0005_former_ids")]

    operations = [
        migrations.RemoveIndex("contact", "contact_name"),
        migrations.AddIndex(
            "contact", models.Index(fields=["last_name", "first_name", "id"], name="contact_name")
        ),
        migrations.AddIndex("contact", models.Index(fields=["updated_at", "id"], name="contact_updated")),
        migrations.AddIndex(
            "contact", models.Index(fields=["conversation_count", "id"], name="contact_conversations")
        ),
        migrations.RunPython(lambda *_: settle(add_extension=True), migrations.RunPython.noop, elidable=False),
    ]
