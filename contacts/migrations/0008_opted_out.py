"""Who asked not to be called is found without reading everybody."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0007_contacttag_position")]

    operations = [
        migrations.AddIndex(
            "contact",
            models.Index(
                fields=["created_at", "id"], condition=models.Q(do_not_call=True), name="contact_opted_out"
            ),
        ),
    ]
