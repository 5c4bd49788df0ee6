"""gitleaks' TOML on standard input, our compact rule file on standard output; run by hand when a new version is taken.

python -m countersign.inspection.rules.from_gitleaks v8.30.1-27-gb58d3f1 < gitleaks.toml > secrets.json
"""

import json
import sys
import tomllib
from collections.abc import Mapping
from typing import Any

# What a key's owner would call it, where gitleaks says something else.
_NAMES = {
    "aws-access-token": "aws-access-key",
    "gcp-api-key": "google-api-key",
    **dict.fromkeys(("github-pat", "github-fine-grained-pat", "github-oauth", "github-app-token"), "github-token"),
    "github-refresh-token": "github-token",
    **dict.fromkeys(
        ("slack-bot-token", "slack-user-token", "slack-legacy-bot-token", "slack-app-token"), "slack-token"
    ),
    "generic-api-key": "generic-secret",
}
# These look at what a file is called, or for something that no line of text can hold.
_NEEDS_A_FILE = {"pkcs12-file", "hashicorp-tf-password", "freemius-secret-key", "nuget-config-password"}
# Our own rules say these better; `private-key` of theirs wants the end of the block, which a cut text has lost.
_OURS_INSTEAD = {"private-key", "jwt", "jwt-base64"}
# Leads up to the keyword and is no part of the secret; without it a search can start at the keyword.
_RUN_UP = r"[\w.-]{0,50}?"
# What may follow a token in a file is narrow; in chat, a comma, a bracket or an ampersand follows as well. Rules that
# begin with a keyword keep it: it tells their values from code.
_END, _ANY_END = r"""(?:[\x60'"\s;]|\\[nr]|$)""", "(?:[^A-Za-z0-9_]|$)"
# A scanner spares the examples that vendors publish; a scrubber has no reason to.
_EXAMPLES = ("EXAMPLE", "AIza")


def _allowed(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The allow-lists that look at text; those of paths and commits have nothing to look at here."""
    kept = []
    for allow in rule.get("allowlists", []):
        regexes = [regex for regex in allow.get("regexes", []) if not any(word in regex for word in _EXAMPLES)]
        if allow.get("condition") == "AND" or not (regexes or allow.get("stopwords")):
            continue
        target = {"target": allow["regexTarget"]} if "regexTarget" in allow else {}
        words = {"words": allow["stopwords"]} if "stopwords" in allow else {}
        kept.append({"regexes": regexes} | target | words)
    return kept


def _converted(rule: Mapping[str, Any]) -> dict[str, Any]:
    regex = rule["regex"]
    regex = regex.replace(_RUN_UP, "", 1) if _RUN_UP in regex else regex.replace(_END, _ANY_END)
    made = {"name": _NAMES.get(rule["id"], rule["id"]), "regex": regex}
    made |= {"keywords": rule["keywords"]}
    made |= {
        ours: rule[theirs] for theirs, ours in (("entropy", "entropy"), ("secretGroup", "group")) if theirs in rule
    }
    allow = _allowed(rule)
    return made | ({"allow": allow} if allow else {})


def main() -> None:
    """One rule a line, so that a new version can be read as a difference."""
    config = tomllib.load(sys.stdin.buffer)
    skipped = _NEEDS_A_FILE | _OURS_INSTEAD
    rules = [_converted(rule) for rule in config["rules"] if rule["id"] not in skipped]
    everywhere = {"regexes": config["allowlist"]["regexes"], "words": config["allowlist"]["stopwords"]}
    lines = ",\n".join(json.dumps(rule, ensure_ascii=False) for rule in rules)
    head = {"source": f"gitleaks {sys.argv[1]}, MIT, see LICENSE.gitleaks beside this file", "allow": everywhere}
    sys.stdout.write(json.dumps(head, ensure_ascii=False)[:-1] + f',\n"rules": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
