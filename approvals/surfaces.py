"""Where a vote was cast in, as evidence names it; the words by which people read it out. Pure."""

_WORDS = {
    "web": "on the web",
    "api": "through the API",
    "slack": "in Slack",
    "jira": "in Jira",
    "servicenow": "in ServiceNow",
    "email": "by e-mail",
}


def words(surface: str) -> str:
    """`slack+web` as *in Slack, confirmed on the web*. A name we have no words for is told as it is."""
    first, *confirmed = (_WORDS.get(name, f"in {name}") for name in surface.split("+"))
    return ", confirmed ".join((first, *confirmed)) if surface else ""
