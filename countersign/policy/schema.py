"""The shipped JSON Schema of policy files: what editors check with. The compiler has the last word."""

import json
from importlib.resources import files
from typing import Any


def load() -> dict[str, Any]:
    text = files("countersign.policy").joinpath("policy.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
