"""Whether a step-up code may be typed in a chat; by default it may not."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0003_password_tries'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name='chat_codes',
            field=models.BooleanField(default=False, verbose_name='codes in chats'),
        ),
    ]
