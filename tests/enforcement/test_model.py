"""Any order of asking, voting, using, reporting, taking back, changing the policy, crashing and waiting, against a
model of what may be allowed.

Held in every run: nothing is allowed but by the policy of now or by an approval that is alive, of this very call and
this caller, and has a use left; a request ends once; uses and caps stay within what was set; each answer, also one that
was lost and asked for again, is exactly one record.
"""

import json
import sys
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from approvals import lapsing, lifecycle, requests, votes
from approvals.models import AccessRequest, Approval, Decision
from enforcement import commit, executions, memory
from enforcement.models import Counter, Custody, Execution
from evidence import clock
from evidence.models import Record
from tests.enforcement import bent
from tests.enforcement.machine import EVALUATION, OUTCOMES, REQUESTS, Reply, post, question, send, together
from tests.enforcement.test_requests import error_of, submission, using
from tests.races.crowd import SOAK, rounds
from tests.worlds import SETUP, World, world

pytestmark = pytest.mark.postgres

T = TypeVar("T")

CALLS, MONEY = 3, 500  # a day
CAPS = {"rate": [f"{CALLS}/day"], "spend": {"argument": "amount", "per_day": f"{MONEY}.00", "currency": "EUR"}}
USES, WAIT, GOOD, LIMIT, REQUESTABLE = 2, 15, 10, 15, 10  # uses of an approval; minutes until each thing is over
STEPS = (7, 16)  # minutes: no sum of these is a limit, which would hang on how long the steps themselves take
DAY = 24 * 60
AMOUNTS = (250, 250, 40)  # of case 0, 1 and 2
SMALL = 100
ENDS = ("approved", "denied", "expired", "cancelled")


class Policy(StrEnum):
    """What is published. The first two let small refunds pass, and ask one or two people about the others."""

    ASKS_ONE = "asks one"
    ASKS_TWO = "asks two"
    ALLOWS = "allows"
    DENIES = "denies"

    @property
    def quorum(self) -> int:
        return 2 if self is Policy.ASKS_TWO else 1

    @property
    def text(self) -> str:
        head = "version: 1\nname: acme\nrules:\n"
        if self in {Policy.ALLOWS, Policy.DENIES}:
            return f"{head}  - {{id: all, effect: {'allow' if self is Policy.ALLOWS else 'deny'}}}\n"
        approval = f"{{teams: [finance], quorum: {self.quorum}, step_up: none, uses: {USES}}}"
        return (
            f"{head}  - {{id: small, when: 'double(arguments.amount) < {SMALL}.0', effect: allow}}\n"
            f"  - {{id: large, when: 'double(arguments.amount) >= {SMALL}.0', effect: escalate, approval: {approval}}}\n"
        )


class Crash(StrEnum):
    """What happens to the first try; whoever asked asks the same again."""

    NONE = "none"
    LOST = "the answer is lost with its process"
    CUT = "the commit is cut"


@dataclass(eq=False)
class Task:
    """What the model knows of one request, and of its approval if it has one. Times in minutes."""

    id: str
    case: int
    quorum: int
    ends: int
    parties: set[int]
    status: str = "pending"
    said: dict[str, Decision] = field(default_factory=dict)
    approval: str = ""
    good_until: int = 0
    uses: int = 0
    revoked: bool = False

    @property
    def yes(self) -> int:
        return sum(decision is Decision.APPROVE for decision in self.said.values())


@dataclass(eq=False)
class Denial:
    """An escalated answer that may be submitted."""

    case: int
    who: int
    at: int
    body: dict[str, Any]
    reply: Reply


@dataclass(eq=False)
class Allowed:
    """What the model knows of one allowed call: which, by whom, by which approval, and where its execution stands."""

    id: str
    case: int
    who: int
    day: int
    task: Task | None = None
    deadline: int | None = None
    status: Custody | None = None  # None: nobody has said a word about it

    @property
    def amount(self) -> int:
        return AMOUNTS[self.case]


@dataclass
class Scene:
    """What all runs share: one tenant, two PEPs, and the policy that the run before left there."""

    own: World
    keys: tuple[str, str]
    policy: Policy = Policy.ASKS_ONE
    runs: int = 0


_scene: list[Scene] = []
WHO, CASES = st.sampled_from([0, 1]), st.sampled_from([0, 0, 1, 2])
CRASHES = st.sampled_from([Crash.NONE, Crash.NONE, Crash.LOST, Crash.CUT])
VOTERS = st.sampled_from(["erin", "frank", "carol", "dana"])  # dana owns the agent and is not in finance
DECISIONS = st.sampled_from([Decision.APPROVE, Decision.APPROVE, Decision.DENY])
REPORTS = st.sampled_from(
    [Custody.EXECUTING, Custody.EXECUTING, Custody.COMMITTED, Custody.FAILED, Custody.INDETERMINATE]
)
NTH = st.sampled_from([0, 0, 1, 2])  # of what there is, the newest first


class House(RuleBasedStateMachine):
    """Some hours of one tenant, from a midnight on: its caps are fresh, and what a run before left open is over."""

    def __init__(self) -> None:
        super().__init__()
        (self.scene,) = _scene
        self.own, self.keys = self.scene.own, self.scene.keys
        self.scene.runs += 1
        now = clock.now()
        midnight = now.replace(hour=0, minute=0, second=5, microsecond=0) + timedelta(days=1)
        bent.advance(midnight - now)
        self.began, self.now = midnight.replace(second=0), 0
        self.known: list[Task] = []
        self.denied: list[Denial] = []
        self.allowed: list[Allowed] = []
        self.answered: dict[str, bool] = {}  # every evaluation of this run, and whether it permitted
        self.names = 0
        self.calls: Tally[int] = Tally()  # by day
        self.money: Tally[int] = Tally()

    @initialize(
        policy=st.sampled_from([Policy.ASKS_ONE, Policy.ASKS_ONE, Policy.ASKS_TWO]),
        both=st.sampled_from([False, False, True]),
        yes=st.sampled_from([0, 1, 2, 2]),
        spent=st.sampled_from([0, 0, 0, CALLS - 1, CALLS]),
    )
    def begins(self, policy: Policy, both: bool, yes: int, spent: int) -> None:
        """People have been asked about one call, and perhaps said yes to it; of the day's caps some may be used."""
        self._publish(policy)
        for _ in range(spent):
            self.asks(2, 0, Crash.NONE, opens=False, submits=False)
        for who in (0, 1) if both else (0,):
            self.asks(0, who, Crash.NONE, opens=True, submits=False)
        for name in ("erin", "frank")[:yes]:
            self.decides(0, name, Decision.APPROVE, Crash.NONE)

    # --- what a PEP does

    @rule(case=CASES, who=WHO, crash=CRASHES, opens=st.booleans(), submits=st.booleans())
    def asks(self, case: int, who: int, crash: Crash, opens: bool, submits: bool) -> None:
        """Have a call judged; perhaps have people asked in the same breath, or in the next."""
        body = self._question(case, open_request=True) if opens else self._question(case)
        reply = self._evaluated(body, who, crash)
        if self._judged(case) != "escalate" or self._is_unsettled(case):
            self._plain(reply, case, who)
            return
        found = self._wanted(case, who) if opens else self._matching(case, who)
        available = found is not None and found.status == "approved"
        assert reply.told == (False, "escalate", "approval_available" if available else "approval_required")
        task = reply.context["access_request"].get("task")
        if opens:
            self._taken_in(task["id"], found, case, who)
            return
        assert (task and task["id"]) == (found and found.id)
        self.denied.append(Denial(case, who, self.now, body, reply))
        if submits:
            self.submits(0, crash)

    @precondition(lambda self: self.denied)
    @rule(nth=NTH, crash=CRASHES)
    def submits(self, nth: int, crash: Crash) -> None:
        """Have people asked about a call that was escalated before."""
        denial = _pick(self.denied, nth)
        sent, name = submission(denial.body, denial.reply), self._name()
        reply = self._sent(lambda: post(REQUESTS, self.keys[denial.who], sent, idempotency_key=name), crash)
        if self.now >= denial.at + REQUESTABLE:
            assert error_of(reply) == (410, "expired_denial")
        elif self._judged(denial.case) != "escalate" or self._is_unsettled(denial.case):
            assert error_of(reply) == (400, "not_requestable")
        else:
            wanted = self._wanted(denial.case, denial.who)
            assert reply.status == (201 if wanted and wanted.status == "approved" else 202)
            self._taken_in(reply.json["task"]["id"], wanted, denial.case, denial.who)

    @rule(nth=NTH, crash=CRASHES)
    def cancels(self, nth: int, crash: Crash) -> None:
        task = _pick(self.known, nth)
        reply = self._sent(lambda: post(f"{REQUESTS}/{task.id}/cancel", self.keys[0], {}), crash)
        open_ = self._is_open(task)
        assert reply.status == (200 if open_ and crash is not Crash.LOST else 409)
        if open_:
            task.status = "cancelled"

    @rule(
        nth=NTH,
        who=WHO,
        elsewhere=st.sampled_from([False, False, False, True]),
        crash=CRASHES,
        then=st.lists(REPORTS, max_size=2),
    )
    def presents(self, nth: int, who: int, elsewhere: bool, crash: Crash, then: list[Custody]) -> None:
        """Use an approval, for its call or for another one, by whoever it is; and perhaps say what became of it."""
        task = _pick(self.known, nth)
        case = 1 - task.case if elsewhere else task.case
        before = len(self.allowed)
        self._presented(self._evaluated(self._presenting(task, case), who, crash), task, case, who)
        for status in then[: 2 * (len(self.allowed) - before)]:
            self.reports(0, status, crash)

    @rule(nth=NTH, who=WHO)
    def presents_at_once(self, nth: int, who: int) -> None:
        """Use an approval three times in the same moment."""
        task = _pick(self.known, nth)
        bodies = [self._presenting(task, task.case) for _ in range(3)]
        replies = together([send("POST", EVALUATION, self.keys[who], body) for body in bodies])
        for reply in sorted(replies, key=lambda one: not one.told[0]):  # as if in this order: who came last was refused
            self._presented(self._noted(reply), task, task.case, who)

    @precondition(lambda self: self.allowed)
    @rule(nth=NTH, status=REPORTS, crash=CRASHES)
    def reports(self, nth: int, status: Custody, crash: Crash) -> None:
        one = _pick(self.allowed, nth)
        said, name = {"evaluation_id": one.id, "status": status.value}, self._name()
        reply = self._sent(lambda: post(OUTCOMES, self.keys[one.who], said, idempotency_key=name), crash)
        if one.status is status and status is not Custody.EXECUTING:  # an end that is told twice is one fact
            assert (reply.status, reply.json["status"]) == (200, status)
            return
        if not self._may_follow(one, status):
            assert reply.status == 409
            return
        assert (reply.status, reply.json["status"]) == (200, status)
        if status is Custody.FAILED and one.status in {None, Custody.RESERVED}:
            self.money[one.day] -= one.amount
        if status is Custody.EXECUTING:
            one.deadline = self.now + LIMIT
        one.status = status

    # --- what people do

    @rule(nth=NTH, name=VOTERS, decision=DECISIONS, crash=CRASHES)
    def decides(self, nth: int, name: str, decision: Decision, crash: Crash) -> None:
        task = _pick(self.known, nth)
        refused = self._tried(lambda: self._vote(task, name, decision), crash)
        if name in task.said:  # the same again is no second vote, and no refusal
            assert refused is (None if task.said[name] is decision else votes.AlreadyVoted)
        elif not self._is_open(task):
            assert refused is votes.NotPending
        elif name == "dana":
            assert refused is votes.SelfApproval
        else:
            assert refused is None
            self._counted(task, name, decision)

    @precondition(lambda self: any(task.approval for task in self.known))
    @rule(nth=NTH, crash=CRASHES)
    def revokes(self, nth: int, crash: Crash) -> None:
        task = _pick([task for task in self.known if task.approval], nth)
        place: dict[str, Any] = {"tenant_id": self.own.tenant.pk, "actor": SETUP, "reason": "enough"}
        refused = self._tried(lambda: requests.revoke_approval(task.approval, now=clock.now(), **place), crash)
        assert refused is (requests.NotRevocable if task.revoked or crash is Crash.LOST else None)
        task.revoked = True

    # --- what nobody does

    @rule(what=st.sampled_from([*Policy, *STEPS, *STEPS, DAY]), pumped=st.booleans())
    def meanwhile(self, what: Policy | int, pumped: bool) -> None:
        """A policy is published; or minutes go by, and the timers that are due run, or nobody is there to run them."""
        if isinstance(what, Policy):
            self._publish(what)
            return
        bent.advance(timedelta(minutes=what))
        self.now += what
        if pumped:
            self._pump()

    # --- what the database says of it in the end

    def teardown(self) -> None:
        """Rows and records are only ever added to, so that one look at the end sees what any step did wrong."""
        if sys.exc_info()[0] is not None:
            return  # a step has failed, and says it better
        self._check_requests()
        self._check_approvals()
        self._check_decisions()
        self._check_counters()
        self._check_executions()

    def _check_requests(self) -> None:
        """Each ended once, as the model has it, or not at all."""
        rows = AccessRequest.objects.filter(pk__in=[task.id for task in self.known])
        assert {row.pk: row.status for row in rows} == {task.id: task.status for task in self.known}
        events = [f"request.{end}" for end in ENDS]
        ended = Record.objects.filter(thread__in=[task.id for task in self.known], event__in=events)
        assert sorted(ended.values_list("thread", "event")) == sorted(
            (task.id, f"request.{task.status}") for task in self.known if task.status != "pending"
        )

    def _check_approvals(self) -> None:
        """One for each request that was approved; used as often as the model has it, and never more than it may be."""
        granted = {task.approval: task for task in self.known if task.approval}
        rows = {row.pk: row for row in Approval.objects.filter(request__in=[task.id for task in self.known])}
        assert {key: row.uses for key, row in rows.items()} == {key: task.uses for key, task in granted.items()}
        assert all(row.uses <= row.uses_allowed == USES for row in rows.values())
        used = Record.objects.filter(thread__in=[task.id for task in self.known], event="approval.used")
        assert Tally(used.values_list("thread", flat=True)) == +Tally({task.id: task.uses for task in self.known})

    def _check_decisions(self) -> None:
        """Each answer has one record, which says what it said; nothing else was decided."""
        made = Record.objects.filter(log=self.own.slug, transaction__in=map(self._transaction, range(len(AMOUNTS))))
        bodies = made.filter(event="decision.made").values_list("body", flat=True)
        told = [json.loads(bytes(body))["predicate"] for body in bodies]
        assert sorted((one["event_id"], one["decision"]["permitted"]) for one in told) == sorted(self.answered.items())

    def _check_counters(self) -> None:
        for row in Counter.objects.filter(tenant=self.own.tenant, window__gte=self.began):
            day, is_rate = (row.window - self.began).days, row.key.startswith("rate")
            assert row.used == (self.calls[day] if is_rate else self.money[day] * 10**6)
            assert row.used <= (CALLS if is_rate else MONEY * 10**6)

    def _check_executions(self) -> None:
        rows = Execution.objects.filter(pk__in=[one.id for one in self.allowed])
        assert {row.pk: row.status for row in rows} == {one.id: one.status for one in self.allowed if one.status}

    # --- the model

    def _judged(self, case: int) -> str:
        policy = self.scene.policy
        if policy in {Policy.ALLOWS, Policy.DENIES}:
            return "allow" if policy is Policy.ALLOWS else "deny"
        return "allow" if AMOUNTS[case] < SMALL else "escalate"

    def _is_open(self, task: Task) -> bool:
        return task.status == "pending" and self.now < task.ends

    def _is_unsettled(self, case: int) -> bool:
        """Whether nobody knows how a run of it ended that people had approved: a plain one's report does not tell which."""
        return any(one.case == case and one.task and one.status is Custody.INDETERMINATE for one in self.allowed)

    def _why_not(self, task: Task, case: int, who: int) -> str:
        """The reason for which an approval does not serve this call; empty if it does."""
        if not task.approval:
            return "approval_unverifiable"
        if who not in task.parties or case != task.case:
            return "out_of_scope"
        if task.revoked or self.now >= task.good_until:
            return "approval_expired"
        if task.uses >= USES:
            return "approval_used"
        return "" if task.yes >= self.scene.policy.quorum else "out_of_scope"

    def _matching(self, case: int, who: int) -> Task | None:
        """What a PEP is told of: it waits, or it is approved and this PEP may use it, if policy finds it enough."""
        for task in self.known:
            if task.case == case and self._is_open(task):
                return task
        for task in reversed(self.known):
            fresh = not task.revoked and self.now < task.good_until and task.uses < USES
            if task.approval and task.case == case and who in task.parties and fresh:
                return task
        return None

    def _wanted(self, case: int, who: int) -> Task | None:
        """What a PEP joins: it waits, or its approval would serve right now. What is late is closed on the way."""
        waiting = next((task for task in self.known if task.case == case and task.status == "pending"), None)
        if waiting is not None:
            if self._is_open(waiting):
                return waiting
            waiting.status = "expired"
            return None
        usable = (task for task in reversed(self.known) if task.case == case and not self._why_not(task, case, who))
        return next(usable, None)

    def _over_cap(self, amount: int) -> str:
        day = self.now // DAY
        if self.calls[day] >= CALLS:
            return "rate_cap"
        return "spend_cap" if self.money[day] + amount > MONEY else ""

    def _may_follow(self, one: Allowed, status: Custody) -> bool:
        if one.status is Custody.EXECUTING:
            return status is not Custody.EXECUTING
        if status is Custody.COMMITTED or one.status not in {None, Custody.RESERVED}:
            return False
        in_time = one.deadline is None or self.now < one.deadline
        is_revoked = one.task is not None and one.task.revoked
        return (in_time and not is_revoked) or status is not Custody.EXECUTING

    # --- what an answer must say, and what follows from it

    def _plain(self, reply: Reply, case: int, who: int) -> None:
        """Policy alone decides, and the caps."""
        if self._judged(case) == "deny":
            assert reply.told == (False, "deny", "rule")
        elif self._is_unsettled(case):
            assert reply.told == (False, "deny", "unreconciled")
        elif over := self._over_cap(AMOUNTS[case]):
            assert reply.told == (False, "deny", over)
        else:
            assert reply.told == (True, "allow", "rule")
            self._charged(reply, case, who)

    def _presented(self, reply: Reply, task: Task, case: int, who: int) -> None:
        if self._judged(case) == "deny":
            assert reply.told == (False, "deny", "policy_denied")
        elif self._judged(case) == "allow" or self._is_unsettled(case):
            self._plain(reply, case, who)
        elif why := self._why_not(task, case, who):
            assert reply.told == (False, "escalate" if task.approval else "deny", why)
            assert reply.context["next_action"] == ("request" if task.approval else "none")
        elif over := self._over_cap(AMOUNTS[case]):
            assert reply.told == (False, "deny", over)
        else:
            assert reply.told == (True, "allow", "rule")
            assert reply.context["approval"]["id"] == task.approval
            task.uses += 1
            one = self._charged(reply, case, who)
            one.task, one.status, one.deadline = task, Custody.RESERVED, task.good_until

    def _charged(self, reply: Reply, case: int, who: int) -> Allowed:
        day = self.now // DAY
        self.calls[day] += 1
        self.money[day] += AMOUNTS[case]
        one = Allowed(reply.context["evaluation_id"], case, who, day)
        self.allowed.append(one)
        return one

    def _taken_in(self, identifier: str, wanted: Task | None, case: int, who: int) -> None:
        """The request that was joined, or one that nobody knew."""
        if wanted is not None:
            assert identifier == wanted.id
            wanted.parties.add(who)
            return
        assert identifier not in {task.id for task in self.known}
        self.known.append(Task(identifier, case, self.scene.policy.quorum, self.now + WAIT, {who}))

    def _counted(self, task: Task, name: str, decision: Decision) -> None:
        task.said[name] = decision
        if decision is Decision.DENY:
            task.status = "denied"
        elif task.yes >= task.quorum:
            task.status, task.good_until = "approved", self.now + GOOD
            task.approval = Approval.objects.get(request=task.id).pk

    # --- doing it

    def _publish(self, policy: Policy) -> None:
        if policy is not self.scene.policy:
            self.own.with_policy(policy.text)
            self.scene.policy = policy

    def _name(self) -> str:
        self.names += 1
        return f"n-{self.scene.runs}-{self.names}"

    def _transaction(self, case: int) -> str:
        return f"run-{self.scene.runs}-{case}"

    def _question(self, case: int, **context: Any) -> dict[str, Any]:
        arguments = {"order": "A-1", "amount": f"{AMOUNTS[case]}.00"}
        return question(arguments=arguments, transaction=self._transaction(case), attempt=self._name(), **context)

    def _presenting(self, task: Task, case: int) -> dict[str, Any]:
        return using(task.approval or "apr_guessed", self._question(case))

    def _evaluated(self, body: dict[str, Any], who: int, crash: Crash) -> Reply:
        """One evaluation, whatever happens on the way: the same answer to the same attempt."""
        return self._noted(self._sent(lambda: post(EVALUATION, self.keys[who], body), crash, same=True))

    def _noted(self, reply: Reply) -> Reply:
        assert reply.status == 200, reply.body
        self.answered[reply.context["evaluation_id"]] = reply.told[0]
        return reply

    def _sent(self, act: Callable[[], Reply], crash: Crash, *, same: bool = False) -> Reply:
        """The answer that arrives in the end."""
        if crash is Crash.CUT:
            bent.cut_next_commit()
            first = act()
            if bent.mended():  # it committed no record
                return first
            assert first.status == 503
            return act()
        first = act()
        if crash is Crash.NONE:
            return first
        commit.stop()
        memory.forget()
        again = act()
        assert not same or again.body == first.body
        return again

    def _tried(self, act: Callable[[], object], crash: Crash) -> type[Exception] | None:
        """With what a person was refused in the end."""
        if crash is Crash.CUT:
            bent.cut_next_commit()
        try:
            act()
        except OperationalError:
            connection.close()
            assert not bent.mended()
            return self._tried(act, Crash.NONE)
        except (votes.NotPending, votes.NotEligible, votes.AlreadyVoted, requests.NotRevocable) as error:
            refused: type[Exception] | None = type(error)
        else:
            refused = None
        if crash is Crash.CUT:
            assert bent.mended(), "a cut must be told"
        return self._tried(act, Crash.NONE) if crash is Crash.LOST else refused

    def _vote(self, task: Task, name: str, decision: Decision) -> None:
        votes.cast(
            task.id, tenant_id=self.own.tenant.pk, membership=self.own.people[name], decision=decision, reason="",
            seen=AccessRequest.objects.get(pk=task.id).display_hash, step_up=None, surface="web", now=clock.now(),
        )  # fmt: skip

    def _pump(self) -> None:
        now, tenant_id = clock.now(), self.own.tenant.pk
        for task in self.known:
            if lifecycle.expire(task.id, tenant_id=tenant_id, now=now):
                assert task.status == "pending"
                task.status = "expired"
            if task.approval:
                lapsing.lapse(task.approval, tenant_id=tenant_id, now=now)
        for one in self.allowed:
            if one.status in {Custody.RESERVED, Custody.EXECUTING}:
                self._overdue(one, one.status)

    def _overdue(self, one: Allowed, status: Custody) -> None:
        executions.overdue(one.id, status, now=clock.now())
        if one.deadline is None or self.now < one.deadline:
            return
        if status is Custody.RESERVED:
            self.money[one.day] -= one.amount
        one.status = Custody.LAPSED if status is Custody.RESERVED else Custody.INDETERMINATE


def _pick(some: Sequence[T], nth: int) -> T:
    return some[-1 - nth % len(some)]


@pytest.fixture
def scene(database: None) -> Iterator[None]:
    with bent.database():
        own = world(quorum=1, step_up="none", approval={"uses": USES}, caps=CAPS, policy=Policy.ASKS_ONE.text)
        _scene.append(Scene(own, (own.pep_key, own.key("pep"))))
        yield
        _scene.clear()


def test_nothing_is_allowed_but_by_policy_or_by_an_approval_of_it(scene: None) -> None:
    run_machine(
        House,
        settings=settings(
            max_examples=rounds(full=2000, reduced=200),
            stateful_step_count=8,
            deadline=None,
            derandomize=not SOAK,
            suppress_health_check=list(HealthCheck),
        ),
    )
