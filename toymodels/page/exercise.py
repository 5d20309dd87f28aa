"""A checker that knows the answer to an exercise and the mistakes that students make.

answer     a number, a tensor, or a function that is compared on given inputs
stub       ``...``, what the exercise shows before it is answered
slip       a wrong answer that needs no name: a sign, a factor two, an inverse; see ``answers``
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from numbers import Real

import numpy as np
from torch import Tensor

from toymodels.page import answers
from toymodels.page.answers import UnusableError, Values

Answer = float | int | Tensor | np.ndarray | Sequence | Callable


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is accepted, and one sentence for the student."""

    accepted: bool
    message: str


@dataclass(frozen=True)
class Exercise:
    """One question with its solution and what people misunderstand about it.

    ``mistakes`` maps the sentence that names a mistake to the answer it leads to. The usual slips
    need no entry; where one has a reason in the physics, an entry tells it. ``inputs`` are the
    argument tuples on which functions are compared, each time on copies of their own. ``within``
    is relative to the largest entry of the solution; three correct digits are always enough.
    Raises ValueError without a mistake, on a mistake that the tolerance would accept or confuse
    with another, and on a tolerance that is not a positive number.
    """

    question: str
    solution: Answer
    mistakes: Mapping[str, Answer]
    inputs: Sequence[tuple] = field(default=())
    within: float = 1e-3

    def __post_init__(self):
        if not (isinstance(self.within, Real) and 0 < self.within < math.inf):
            raise ValueError(
                f"{self.question}: within must be a positive number, got {self.within}"
            )
        if not isinstance(self.question, str):
            raise ValueError(f"question must be words, got {self.question!r}")
        if not isinstance(self.mistakes, Mapping) or not self.mistakes:
            raise ValueError(f"{self.question}: mistakes must name at least one, got none")
        if not isinstance(self.inputs, Sequence):
            raise ValueError(f"{self.question}: inputs must be a list of argument tuples")
        if callable(self.solution) != bool(self.inputs):
            raise ValueError(f"{self.question}: inputs must be given for a function, and only then")
        for message, wrong in self._wrong.items():
            if answers.gap(wrong, self._right) <= 2 * self.within:
                raise ValueError(f"{self.question}: the tolerance would accept: {message}")
        for (one, left), (other, right) in permutations(self._wrong.items(), 2):
            if answers.gap(left, right) <= 2 * self.within:
                raise ValueError(f"{self.question}: the tolerance would confuse: {one} / {other}")

    def check(self, answer: object) -> None:
        """Print the verdict on ``answer``."""
        verdict = self.judge(answer)
        print(f"{'✓' if verdict.accepted else '·'} {self.question}: {verdict.message}")

    def judge(self, answer: object) -> Verdict:
        """The verdict on ``answer``; no answer, however odd, raises."""
        try:
            return self._compare(self._given(answer))
        except UnusableError as problem:
            return Verdict(False, str(problem))

    def _given(self, answer: object) -> Values:
        """The values of a student's answer, in the shapes of the solution, or UnusableError."""
        if answer is not None and answer is not ... and callable(answer) != bool(self.inputs):
            kind = "a function" if self.inputs else "a number or a tensor"
            raise UnusableError(f"the answer must be {kind}, got {type(answer).__name__}.")
        found = self._values(answer)
        return [answers.shaped(g, r) for g, r in zip(found, self._right, strict=True)]

    def _compare(self, given: Values) -> Verdict:
        off = answers.gap(given, self._right)
        if off <= self.within:
            return Verdict(True, self._praise(given, off))
        for message, wrong in self._wrong.items():
            if answers.matches(given, wrong, self._right, self.within):
                return Verdict(False, message)
        # after the mistakes: a mistake may have the first three digits of the solution
        if not self.inputs and answers.matches(given, self._right, self._right, self.within):
            return Verdict(True, self._praise(given, off))
        made = [*answers.of_values(given, self._right, self.within), *self._turned]
        slip = answers.slip(given, self._right, made, self.within)
        return Verdict(False, slip or self._count(given, off))

    def _praise(self, given: Values, off: float) -> str:
        if self.inputs or off < 1e-6:
            return "correct."
        rough = self.within > 1e-3 and not answers.in_digits(given[0], self._right[0]).all()
        digits = ", ".join(f"{number:.6g}" for number in self._right[0].ravel())
        return f"{'close enough' if rough else 'correct to three digits'}; to six it is {digits}."

    def _count(self, given: Values, off: float) -> str:
        entries = answers.agrees(given, self._right, self._right, self.within)
        if self.inputs:
            right, all_of_them, what = sum(e.all() for e in entries), len(entries), "inputs tried"
        else:
            right, all_of_them, what = entries[0].sum(), entries[0].size, "entries"
        said = f"right in {right} of {all_of_them} {what}, " if all_of_them > 1 else ""
        share = f"{100 * off:.0f}" if off > 0.1 else f"{100 * off:.2g}"
        return f"not yet: {said}" + (f"off by {share} %." if off < 10 else "far off.")

    @cached_property
    def _right(self) -> Values:
        return self._values(self.solution)

    @cached_property
    def _wrong(self) -> dict[str, Values]:
        return {message: self._values(wrong) for message, wrong in self.mistakes.items()}

    @cached_property
    def _turned(self) -> list[tuple[str, Values]]:
        """The solution on inputs that a slip takes for those given, where it has values there."""
        turned = answers.of_inputs(deepcopy(self.inputs)) if self.inputs else ()
        found = [(said, answers.evaluated(self.solution, inputs)) for said, inputs in turned]
        return [(said, values) for said, values in found if values is not None]

    def _values(self, answer: object) -> Values:
        if not callable(answer):
            return [answers.numbers(answer)]
        found = []
        # copies, so that an answer that works in place spoils nothing for those that follow
        for args in deepcopy(self.inputs):
            try:
                result = answer(*args)
            except Exception as problem:  # a student's function may raise anything
                said = f"the function raises {type(problem).__name__}: {problem}"
                raise UnusableError(said) from None
            if result is None or result is ...:
                raise UnusableError("not answered yet: the function returns nothing.")
            found.append(answers.numbers(result))
        return found
