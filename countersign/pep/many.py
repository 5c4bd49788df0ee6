"""Many questions in, one AuthZEN evaluations body out; its reply in, an answer to each question that was asked out."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from countersign.pep.answer import Answer, BadAnswer, check_arguments, parse_answers
from countersign.pep.question import Question, encode


class Semantic(StrEnum):
    """How far many questions are asked (AuthZEN, Evaluations Semantics)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


_LAST: Final[Mapping[Semantic, bool | None]] = {
    Semantic.EXECUTE_ALL: None,
    Semantic.DENY_ON_FIRST_DENY: False,
    Semantic.PERMIT_ON_FIRST_PERMIT: True,
}
"""The `decision` after which nothing more is asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked in one request, to hold its answers against."""

    body: bytes
    digests: tuple[str, ...]
    semantic: Semantic

    def answers(self, body: bytes) -> tuple[Answer, ...]:
        """In the order of the questions; those that were not asked any more have none. Raises BadAnswer."""
        answers = parse_answers(body)
        last = _LAST[self.semantic]
        ends = [answer.raw["decision"] is last for answer in answers]
        whole = len(answers) == len(self.digests) or (0 < len(answers) < len(self.digests) and ends[-1])
        if not whole or any(ends[:-1]):
            raise BadAnswer(
                f"{len(answers)} answers to {len(self.digests)} questions are not what {self.semantic} gives"
            )
        for answer, ours in zip(answers, self.digests, strict=False):
            check_arguments(answer, ours)
        return answers


def ask(questions: Sequence[Question], semantic: Semantic) -> Asked:
    """Each with an attempt of its own. Raises BadQuestion if one of them cannot be bound; then none is asked."""
    digests = tuple(question.arguments_digest() for question in questions)
    items = [question.members(attempt=uuid.uuid4().hex) for question in questions]
    body = encode({"evaluations": items, "options": {"evaluations_semantic": semantic.value}})
    return Asked(body, digests, semantic)
