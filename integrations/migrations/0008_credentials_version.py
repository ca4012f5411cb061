from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0007_interval'),
    ]

    operations = [
        migrations.AddField(
            model_name='connection',
            name='credentials_version',
            field=models.PositiveIntegerField(default=0, editable=False, help_text='Rises with every change of credentials or address: what work in flight learns with the old is void.'),
        ),
    ]
