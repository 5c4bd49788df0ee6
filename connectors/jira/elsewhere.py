"""A line for an issue that somebody else made, commented there once out; never at an issue of our own."""

from django.conf import settings

from connectors.jira import board, text
from connectors.jira.api import Site
from connectors.port import Reply, TransportError

NOT_WITHIN = "The issue is in a project that no channel of the tenant lists under origins, so nothing is told there."
OURS = "The issue is one of Countersign's own, where nothing of another request is told."


def reply(site: Site, line: Reply) -> None:
    """Look where the key leads, then say it. An issue that was moved to another project answers to its old key.

    Raises TransportError.
    """
    found, me = site.found(line.where["issue"]), site.me().account_id
    if found.project not in line.within:
        raise TransportError(NOT_WITHIN, permanent=True)
    if found.creator.account_id == me:
        raise TransportError(OURS, permanent=True)
    words = text.escape(line.words, ours=f"{settings.COUNTERSIGN.base_url}/")
    board.say_once(site, found.id, [words], me=me)
