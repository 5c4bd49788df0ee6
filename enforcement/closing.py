"""A call in; the closed action object, all that an approval binds, out. What is absent is left out: it is not null."""

from typing import Any

from countersign.policy.values import Call
from enforcement.memory import World

_TOOL = "tool"


def closed(call: Call, world: World) -> dict[str, Any]:
    """The action, without its arguments but for their digest."""
    subject: dict[str, Any] = {"type": call.subject_type, "id": call.subject_id}
    action: dict[str, Any] = {"name": call.action_name}
    resource: dict[str, Any] = {"type": call.resource_type, "id": call.resource_id}
    if call.subject_properties:
        subject["properties"] = call.subject_properties
    if call.action_properties:
        action["properties"] = call.action_properties
    if call.resource_properties:
        resource["properties"] = call.resource_properties
    bound: dict[str, Any] = {
        "tenant": world.tenant,
        "subject": subject,
        "action": action,
        "resource": resource,
        "arguments_digest": call.arguments_digest,
    }
    if call.resource_type == _TOOL:
        _bind_tool(bound, call, world)
    if call.principal is not None:
        bound["principal"] = {"type": call.principal.type, "id": call.principal.id}
        if call.principal.verified:  # an approval for who proved themselves is none for who only is named
            bound["principal"]["verified"] = True
    if call.intent is not None:
        bound["intent"] = call.intent
    if call.environment:
        bound["environment"] = call.environment
    if call.transaction is not None:
        bound["transaction"] = call.transaction
    return bound


def _bind_tool(bound: dict[str, Any], call: Call, world: World) -> None:
    """The schema that is registered, and the descriptor as the PEP saw it: a tool that changed is another action."""
    tool = world.bundle.tools.get(call.resource_id)
    if tool is not None and tool.schema_digest is not None:
        bound["schema_digest"] = tool.schema_digest
    observed = call.resource_properties.get("descriptor_digest")
    if type(observed) is str:
        bound["descriptor_digest"] = observed
