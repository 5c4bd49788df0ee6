"""A tenant of a thousand agents, tools and rules in the stage's database; prints the key of a PEP."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from bench import search  # noqa: E402
from tests.worlds import world  # noqa: E402

SIZE = 1000


def main() -> None:
    own = world(caps={})
    owned = {"owner": own.username("dana")}
    bot = {**owned, "team": "support", "intents": ["**"], "tool_groups": ["**"]}
    own.apply(
        agents=[{"id": name, **bot, "intents": ["**"], "tool_groups": ["**"]} for name in search.agents(SIZE)],
        tools=[
            {"id": name, "group": name.split(".")[0], **owned, "risk_tier": 1, "methods": list(search.METHODS)}
            for name in search.tools(SIZE)
        ],
    )
    own.with_policy(search.policy(SIZE))
    print(own.pep_key)


if __name__ == "__main__":
    main()
