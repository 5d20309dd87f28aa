"""Runs the answers of a student, each in a process of its own that sees nothing else.

``grader.py`` starts it as python -I -c ... FOLDER, where FOLDER holds the package toymodels.

Each process is a fork of this one, in which only the given cells have run. It gets the reference
solutions of earlier answers and one answer of the student. Tests, expected values and later
solutions stay in the process of the grader. Linux and macOS only.
"""

import ast
import io
import math
import os
import pickle
import re
import resource
import signal
import struct
import sys

import numpy as np
import torch

MEMORY = 4 * 2**30  # bytes that one answer may take
MAGIC = re.compile(r"^[%!].*$", re.M)  # commands of IPython, which are not Python
FORBIDDEN = ("ctypes.", "os.exec", "os.fork", "os.kill", "os.posix_spawn", "os.system", "socket.")
FORBIDDEN += ("subprocess.", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "pty.")


def send(channel: int, data: bytes) -> None:
    data = struct.pack("!Q", len(data)) + data
    while data:
        data = data[os.write(channel, data) :]


def receive(channel: int) -> bytes:
    (size,) = struct.unpack("!Q", exactly(channel, 8))
    return exactly(channel, size)


def exactly(channel: int, size: int) -> bytes:
    parts = []
    while size:
        parts.append(os.read(channel, size))
        if not parts[-1]:
            os._exit(1)  # the grader is gone
        size -= len(parts[-1])
    return b"".join(parts)


def main(folder: str) -> None:
    orders, replies = os.dup(0), os.dup(1)
    silent = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(silent, standard)
    sys.path.insert(0, folder)
    readable = [sys.prefix, sys.base_prefix, os.path.join(folder, "toymodels"), os.devnull]
    given = {"__name__": "__main__"}
    token, sources = pickle.loads(receive(orders))
    for source in sources:
        exec(source, given)
    send(replies, encode("ready", None))
    recent = b""
    while byte := os.read(orders, 1):
        recent = (recent + byte)[-len(token) :]
        if recent != token:  # what was meant for an answer that has ended
            continue
        if os.fork() == 0:
            try:
                confine([os.path.realpath(path) for path in readable])
                serve(given, orders, replies)
            finally:
                os._exit(1)
        late = os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGXCPU
        send(replies, encode("late" if late else "ended", None))


def confine(readable: list[str]) -> None:
    """Refuse what an answer has no need of: other files, processes, the network, much memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    def refuse(event: str, arguments: tuple) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"an answer may not use {event}")
        if event in ("open", "os.listdir", "os.scandir") and not isinstance(arguments[0], int):
            path = os.path.realpath(os.fsdecode(arguments[0] or "."))
            if not any(path == root or path.startswith(root + os.sep) for root in readable):
                raise PermissionError("an answer may not look at files")

    sys.addaudithook(refuse)


def allow(seconds: float) -> None:
    """So much more of the processor's time, which a busy machine does not shorten."""
    used = sum(os.times()[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), hard))


def serve(given: dict, orders: int, replies: int) -> None:
    """Define the answer, say how that went, then answer calls until the process is ended."""
    job = pickle.loads(receive(orders))
    try:
        allow(job["seconds"])
        answer = define(given, job)
        reply = ("value", None if callable(answer) else plain(answer))
    except BaseException as error:  # SystemExit too: exit() ends nothing but the answer
        answer, reply = None, ("error", describe(error))
    send(replies, encode(*reply))
    while True:
        order = receive(orders)
        if not order:
            os._exit(0)
        try:
            allow(job["seconds"])
            arguments, keywords = pickle.loads(order)
            reply = encode("value", plain(answer(*arguments, **keywords)))
        except BaseException as error:
            reply = encode("error", describe(error))
        send(replies, reply)


def define(given: dict, job: dict) -> object:
    """What the student's cell binds to the name, beside given cells and earlier solutions."""
    known = dict(given)
    for source in job["earlier"]:
        exec(source, known)
    space = dict(known)
    for source in job["around"]:
        for statement in definitions(source):
            try:
                exec(compile(ast.Module([statement], []), "<cell>", "exec"), space)
            except Exception:  # it counts only if the answer needs it, and then that will say so
                continue
    space.update(known)
    exec(MAGIC.sub("", job["answer"]), space)
    if job["name"] not in space:
        raise NameError(f"the cell does not define {job['name']}")
    return space[job["name"]]


def definitions(source: str) -> list[ast.stmt]:
    """Imports, functions, classes and constants of another cell; nothing that could take long."""
    try:
        body = ast.parse(MAGIC.sub("", source)).body
    except SyntaxError:
        return []
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return [
        statement
        for statement in body
        if isinstance(statement, kinds)
        or (isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant))
    ]


def plain(value: object) -> object:
    """Arrays as tensors, containers as tuples: what the grader can read without running it."""
    if isinstance(value, (np.ndarray, np.generic)):
        return torch.as_tensor(value)
    if isinstance(value, torch.Tensor):
        # the grader reads no subclass, such as the one that remembers an origin
        return value.detach().clone().as_subclass(torch.Tensor)
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    return value


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def encode(kind: str, value: object) -> bytes:
    data = io.BytesIO()
    torch.save((kind, value), data)
    return data.getvalue()


if __name__ == "__main__":
    main(sys.argv[1])
