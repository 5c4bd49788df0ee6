"""Who answers what: machines go straight to `enforcement`, other systems to `connectors`, all else to Django."""

import os
import warnings

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from django.core.handlers.asgi import ASGIHandler  # noqa: E402  the rooms' models need a Django that is set up

from config import bodies, warm  # noqa: E402  see above
from connectors import hooks  # noqa: E402  see above
from enforcement import api, asgi  # noqa: E402  see above

# Static files are small and few; Django's advice to stream them otherwise is noise in an operator's log.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
_pages = ASGIHandler()
warm.warm()


async def application(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Django's own handler would cost the hot path ten times its price; the lifespan ends with the last commit."""
    if scope["type"] == "websocket":  # nobody here speaks it; unanswered it is a 500 and a traceback
        await receive()
        await send({"type": "websocket.close", "code": 1000})
    elif scope["type"] == "lifespan" or scope["path"].startswith(api.PREFIXES):
        await asgi.application(scope, receive, send)
    elif scope["path"] in hooks.VIEWS:
        await bodies.bounded(hooks.application, scope, receive, send)
    else:
        await bodies.bounded(_pages, scope, receive, send)  # type: ignore[arg-type]  # Django names the shapes otherwise
