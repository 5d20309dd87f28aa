"""Grade the code of an assignment: nbgrader calls ``Grade`` in place of a kernel.

A test runs in this process, with the reference solution of every answer but the one it tests. The
student's code runs elsewhere, in ``worker.py``, so that it can redefine, read or stop nothing here.
"""

import io
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import cloudpickle
import nbformat
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor

import toymodels

HERE = Path(__file__).resolve().parent
WORKER = (HERE / "worker.py").read_text("utf8")
SECONDS = 10.0  # of the processor, for one call; an answer that takes longer is not called again
PATIENCE = 60.0  # seconds on the clock, for an answer that sleeps
TOO_LONG = "the answer took too long"
ENDED = "the answer ended its process, or took too much memory"
LARGEST = 2**28  # bytes that an answer may return


class AnswerError(Exception):
    """The student's code failed, and the message says how."""


class Worker:
    """The process in which the answers of one student run. Use it in a ``with`` statement."""

    def __init__(self, given: list[str]):
        self.given = given

    def __enter__(self) -> "Worker":
        folder = Path(toymodels.__file__).resolve().parents[1]
        keep = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", WORKER, str(folder)],  # so that it does not know a path
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={**keep, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self.job = None  # of the answer that is defined now
        self.token = os.urandom(16)  # asks for a new process
        self._send(pickle.dumps((self.token, self.given)))
        self._receive(10 * PATIENCE)  # until everything is imported
        return self

    def __exit__(self, *_) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # with all that a student may have started
        self.process.communicate()

    def define(self, job: dict) -> object:
        """Define one answer in a process of its own: its value, or None if it is callable."""
        if self.job is not None:
            self._ask(b"")
        self.process.stdin.write(self.token)
        self.job = job
        return self._ask(pickle.dumps({**job, "seconds": SECONDS}))

    def call(self, job: dict, arguments: tuple, keywords: dict) -> object:
        """Call the answer ``job`` defines, in a new process if it ended the last one."""
        if self.job is not job:
            self.define(job)
        return self._ask(cloudpickle.dumps((arguments, keywords)))

    def _ask(self, order: bytes) -> object:
        try:
            self._send(order)
            kind, value = self._receive(PATIENCE)
        except Exception as error:  # too late, no reply at all, or none that can be read
            self.__exit__()
            self.__enter__()
            late = isinstance(error, TimeoutError)
            raise AnswerError(TOO_LONG if late else f"no value came back: {error}") from None
        if kind in ("ended", "late"):
            self.job = None
            value = TOO_LONG if kind == "late" else ENDED
        if kind != "value" and order:
            raise AnswerError(value)
        return value

    def _send(self, order: bytes) -> None:
        self.process.stdin.write(struct.pack("!Q", len(order)) + order)
        self.process.stdin.flush()

    def _receive(self, seconds: float) -> tuple[str, object]:
        until = time.monotonic() + seconds
        (size,) = struct.unpack("!Q", self._exactly(8, until))
        if size > LARGEST:
            raise ValueError("it is too large")
        # weights_only: what a student's process writes is read, never executed
        return torch.load(io.BytesIO(self._exactly(size, until)), weights_only=True)

    def _exactly(self, size: int, until: float) -> bytes:
        parts, channel = [], self.process.stdout.fileno()
        while size:
            left = until - time.monotonic()
            if left <= 0 or not select.select([channel], [], [], left)[0]:
                raise TimeoutError
            parts.append(os.read(channel, size))
            if not parts[-1]:
                raise EOFError("the process is gone")
            size -= len(parts[-1])
        return b"".join(parts)


def grade(source: NotebookNode, submitted: NotebookNode, worker: Worker | None = None) -> dict:
    """The outputs of each test of ``source``, by its name, with the answers of ``submitted``."""
    if worker is None:
        with Worker(given(source)) as worker:
            return grade(source, submitted, worker)
    solutions = {name(cell): cell.source for cell in source.cells if is_answer(cell)}
    answers = {name(cell): cell.source for cell in submitted.cells if is_answer(cell)}
    known = {"__name__": "__main__"}
    for code in [*given(source), *solutions.values()]:
        exec(code, known)
    known["reference"] = types.SimpleNamespace(**{name: known[name] for name in solutions})
    order, outputs = list(solutions), {}
    for answer, tests in groups(source):
        before = order[: order.index(answer)]
        job = {
            "name": answer,
            "answer": answers.get(answer, ""),
            "earlier": [solutions[name] for name in before],
            "around": [answers.get(name, "") for name in before],
        }
        outputs |= run(worker, job, tests, known)
    return outputs


def run(worker: Worker, job: dict, tests: dict[str, str], known: dict) -> dict:
    """The outputs of the tests of one answer. The first that takes too long is the last called."""
    failure = ""
    try:
        value = worker.define(job)
    except AnswerError as error:
        failure = str(error)

    def answer(*arguments, **keywords):
        nonlocal failure
        try:
            return worker.call(job, arguments, keywords)
        except AnswerError as error:
            failure = TOO_LONG if str(error) == TOO_LONG else ""
            raise

    outputs = {}
    for test, code in tests.items():
        printed = io.StringIO()
        space = {**known, job["name"]: answer if failure or value is None else value}
        try:
            if failure:
                raise AnswerError(failure)
            with redirect_stdout(printed):
                exec(code, space)
            outputs[test] = []
        except Exception as error:
            says = str(error) if isinstance(error, (AssertionError, AnswerError)) else repr(error)
            outputs[test] = [new_output("error", ename="✗", evalue=says, traceback=[f"✗ {says}"])]
        if printed.getvalue():
            outputs[test].insert(0, new_output("stream", name="stdout", text=printed.getvalue()))
    return outputs


def name(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def is_answer(cell: NotebookNode) -> bool:
    """A code cell to answer. By name: it defines the function or value that it is called after."""
    return cell.cell_type == "code" and utils.is_solution(cell)


def is_test(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and utils.is_grade(cell)


def given(source: NotebookNode) -> list[str]:
    """The given cells, without the first, which installs the package."""
    locked = [cell for cell in source.cells if cell.cell_type == "code" and utils.is_locked(cell)]
    return [cell.source for cell in locked if not utils.is_grade(cell)][1:]


def groups(source: NotebookNode) -> Iterator[tuple[str, dict[str, str]]]:
    """Each answer with its tests, which are those between it and the next answer."""
    answer, tests = "", {}
    for cell in source.cells:
        if is_answer(cell):
            if tests:
                yield answer, tests
            answer, tests = name(cell), {}
        elif is_test(cell):
            tests[name(cell)] = cell.source
    yield answer, tests


class Grade(NbGraderPreprocessor):
    """What nbgrader runs in place of a kernel."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        stem = resources["nbgrader"]["notebook"]
        outputs = grade(nbformat.read(HERE / "source" / stem / f"{stem}.ipynb", 4), nb)
        for cell in nb.cells:
            if is_test(cell):
                cell.outputs = outputs[name(cell)]
        return nb, resources
