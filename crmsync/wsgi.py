"""What gunicorn serves: `gunicorn crmsync.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crmsync.settings")

_site = get_wsgi_application()

from crmsync.doors import Doors  # noqa: E402 (its imports need the settings)

application = Doors(_site)
