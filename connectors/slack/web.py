"""Slack's Web API as the SDK speaks it, to the address that was configured and to no other.

The SDK leaves HTTP to urllib, which follows a redirect to anybody and takes the token along.
"""

from typing import Any
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from slack_sdk import WebClient


class _NoDetour(HTTPRedirectHandler):
    """An answer that points elsewhere is an answer like any other that is none of Slack's."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Web(WebClient):
    """The SDK's client but for the one call that opens a connection."""

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:  # noqa: ARG002  the SDK's shape
        proxy = [ProxyHandler({"http": self.proxy, "https": self.proxy})] if self.proxy else []
        opener = build_opener(_NoDetour, HTTPSHandler(context=self.ssl), *proxy)
        with opener.open(req, timeout=self.timeout) as answer:
            charset = answer.headers.get_content_charset() or "utf-8"
            return {"status": answer.code, "headers": answer.headers, "body": answer.read().decode(charset)}
