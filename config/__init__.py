"""The building: settings, urls, asgi, celery. Nobody imports it."""
