"""A checker that knows the answer to an exercise and the mistakes that students make.

answer     a number, a tensor, or a function that is compared on given inputs
stub       ``...``, what the exercise shows before it is answered
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import permutations
from numbers import Real

import numpy as np
from torch import Tensor

Answer = float | int | Tensor | np.ndarray | Sequence | Callable


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is accepted, and one sentence for the student."""

    accepted: bool
    message: str


@dataclass(frozen=True)
class Exercise:
    """One question with its solution and at least two typical mistakes.

    ``mistakes`` maps the sentence that names a mistake to the answer it leads to. ``inputs``
    are the argument tuples on which functions are compared, each time on copies of their own.
    ``within`` is relative to the largest entry of the solution. Raises ValueError on fewer than
    two mistakes, on a mistake that the tolerance would accept or confuse with another, and on a
    tolerance that is not a positive number.
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
        if len(self.mistakes) < 2:
            raise ValueError(
                f"{self.question}: must name at least two mistakes, got {len(self.mistakes)}"
            )
        if callable(self.solution) != bool(self.inputs):
            raise ValueError(f"{self.question}: inputs must be given for a function, and only then")
        answers = {message: self._values(wrong) for message, wrong in self.mistakes.items()}
        for message, wrong in answers.items():
            if self._gap(wrong, self._values(self.solution)) <= 2 * self.within:
                raise ValueError(f"{self.question}: the tolerance would accept: {message}")
        for (one, left), (other, right) in permutations(answers.items(), 2):
            if self._gap(left, right) <= 2 * self.within:
                raise ValueError(f"{self.question}: the tolerance would confuse: {one} / {other}")

    def check(self, answer: object) -> None:
        """Print the verdict on ``answer``."""
        verdict = self.judge(answer)
        print(f"{'✓' if verdict.accepted else '·'} {self.question}: {verdict.message}")

    def judge(self, answer: object) -> Verdict:
        """The verdict on ``answer``; no answer, however odd, raises."""
        if answer is ... or answer is None:
            return Verdict(False, "not answered yet. Replace the ... by your answer.")
        if callable(answer) != callable(self.solution):
            kind = "a function" if callable(self.solution) else "a number or a tensor"
            return Verdict(False, f"the answer must be {kind}, got {type(answer).__name__}.")
        try:
            given = self._values(answer)
        except Exception as problem:  # a student's function may raise anything
            return Verdict(False, f"the answer raises {type(problem).__name__}: {problem}")
        if given is None:
            return Verdict(False, "not answered yet: the function returns nothing.")
        if any(np.iscomplexobj(g) for g in given):
            return Verdict(False, "the answer must be real, got a complex number.")
        return self._compare(given)

    def _compare(self, given: list[np.ndarray]) -> Verdict:
        right = self._values(self.solution)
        if [g.shape for g in given] != [r.shape for r in right]:
            shapes = f"{[r.shape for r in right]}, got {[g.shape for g in given]}"
            return Verdict(False, f"the shape must be {shapes}.")
        if self._gap(given, right) <= self.within:
            return Verdict(True, "correct.")
        for message, wrong in self.mistakes.items():
            if self._gap(given, self._values(wrong)) <= self.within:
                return Verdict(False, message)
        return Verdict(False, f"not yet: off by {100 * self._gap(given, right):.2g} %.")

    def _values(self, answer: object) -> list[np.ndarray] | None:
        # copies, so that an answer that works in place spoils nothing for those that follow
        inputs = deepcopy(self.inputs)
        results = [answer(*args) for args in inputs] if callable(answer) else [answer]
        if any(result is None or result is ... for result in results):
            return None
        return [_array(result) for result in results]

    @staticmethod
    def _gap(given: list[np.ndarray], right: list[np.ndarray]) -> float:
        """Largest difference, relative to the largest entry of ``right``; infinite for NaN."""
        gaps = []
        for g, r in zip(given, right, strict=True):
            if g.shape != r.shape:
                return float("inf")
            gap = np.abs(g - r).max() / (np.abs(r).max() or 1.0)
            gaps.append(gap if np.isfinite(gap) else float("inf"))
        return float(max(gaps))


def _array(value: object) -> np.ndarray:
    """Numbers as floats; complex ones as they are."""
    numbers = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    return numbers if np.iscomplexobj(numbers) else numbers.astype(float)
