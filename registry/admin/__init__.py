"""The administrators' pages of the registry. Only what people registered is shown here, never what an agent sent."""

from registry.admin import keys, people, things
from registry.admin.entrance import site

__all__ = ["keys", "people", "site", "things"]
