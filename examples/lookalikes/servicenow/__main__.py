"""`python -m examples.lookalikes.servicenow [WEBHOOK SECRET]`: an instance to try the connector against."""

import secrets
import sys
import threading

from examples.lookalikes.faults import Faults
from examples.lookalikes.servicenow.api import application
from examples.lookalikes.servicenow.instance import Instance
from examples.lookalikes.servicenow.rule import BusinessRule
from examples.lookalikes.servicenow.serving import served

PORT = 8003


def main() -> None:
    instance, faults, secret = Instance(), Faults("servicenow"), secrets.token_hex(16)
    service = instance.person("countersign", "itil", "approval_admin", automation=True)
    erin = instance.person("erin", "approver_user", name="Erin Ek")
    if len(sys.argv) == 3:  # noqa: PLR2004  the program, a URL, a secret
        secret = sys.argv[2]
        instance.rules.append(BusinessRule(sys.argv[1], secret, faults))
    with served(application(instance, faults), port=PORT) as url:
        print(f"ServiceNow look-alike at {url}")
        print(f"  export COUNTERSIGN_SERVICENOW_URL={url}")
        print(f"  export COUNTERSIGN_SERVICENOW_USER={service.user_name}")
        print(f"  export COUNTERSIGN_SERVICENOW_PASSWORD={service.password}")
        print(f"  export COUNTERSIGN_SERVICENOW_WEBHOOK_SECRET={secret}")
        print(f"  Erin approves as {erin.user_name} / {erin.password}, sys_id {erin.sys_id}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
