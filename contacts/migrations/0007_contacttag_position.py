"""Tags stand in the order in which API clients list them."""

from django.db import migrations, models

import contacts.models


class Migration(migrations.Migration):
    dependencies = [("contacts", "0006_finding")]

    operations = [
        # The default reads the column, which has to be there first.
        migrations.AddField(
            model_name="contacttag",
            name="position",
            field=models.PositiveIntegerField(
                default=0, editable=False, help_text="In the order in which API clients list tags."
            ),
        ),
        migrations.AlterField(
            model_name="contacttag",
            name="position",
            field=models.PositiveIntegerField(
                default=contacts.models.last_tag_position,
                editable=False,
                help_text="In the order in which API clients list tags.",
            ),
        ),
    ]
