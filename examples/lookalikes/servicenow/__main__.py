"""`python -m examples.lookalikes.servicenow [WEBHOOK SECRET]`: an instance to try the connector against."""

import argparse
import contextlib
import secrets
import threading
from collections.abc import Iterable

from examples.lookalikes.faults import Faults
from examples.lookalikes.port import check_free
from examples.lookalikes.servicenow.api import application
from examples.lookalikes.servicenow.instance import APPROVALS, Instance, Person, Row
from examples.lookalikes.servicenow.rule import BusinessRule
from examples.lookalikes.servicenow.serving import served


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.lookalikes.servicenow",
        description="A ServiceNow that runs on this machine, on loopback only.",
    )
    parser.add_argument("webhook", nargs="?", help="where the business rule calls, such as …/servicenow/webhook")
    parser.add_argument("secret", nargs="?", help="what it signs with (default: one of chance, which is printed)")
    parser.add_argument("--port", type=int, default=8003)
    asked = parser.parse_args()
    check_free(asked.port)
    with contextlib.suppress(KeyboardInterrupt):
        _serve(asked.port, asked.webhook, asked.secret or secrets.token_hex(16))


def _serve(port: int, webhook: str | None, secret: str) -> None:
    instance, faults = Instance(), Faults("servicenow")
    service = instance.person("countersign", "itil", "approval_admin", automation=True)
    erin = instance.person("erin", "approver_user", name="Erin Ek")
    if webhook:
        instance.rules.append(BusinessRule(webhook, secret, faults))
    with served(application(instance, faults), port=port) as url:
        instance.created.append(lambda table, row: _tell(table, row, instance.people.values(), url))
        print(f"ServiceNow look-alike at {url}")
        print(f"  export COUNTERSIGN_SERVICENOW_URL={url}")
        print(f"  export COUNTERSIGN_SERVICENOW_USER={service.user_name}")
        print(f"  export COUNTERSIGN_SERVICENOW_PASSWORD={service.password}")
        print(f"  export COUNTERSIGN_SERVICENOW_WEBHOOK_SECRET={secret}")
        print(f"  Erin approves as {erin.user_name} / {erin.password}, sys_id {erin.sys_id}", flush=True)
        threading.Event().wait()


def _tell(table: str, row: Row, people: Iterable[Person], url: str) -> None:
    """A new approval, with what its approver types to give it."""
    person = next((one for one in people if one.sys_id == row.get("approver")), None)
    if table == APPROVALS and person:
        print(f"Approval {row['sys_id']} asks {person.user_name}, who may answer by:", flush=True)
        print(
            f"  curl -u '{person.user_name}:{person.password}' -X PATCH -H 'Content-Type: application/json'"
            f""" -d '{{"state": "approved"}}' {url}/api/now/table/{APPROVALS}/{row["sys_id"]}""",
            flush=True,
        )


if __name__ == "__main__":
    main()
