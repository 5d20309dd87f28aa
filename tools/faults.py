"""Faults that ``tools.sabotage`` plants: small wrong edits, generated from the syntax.

    sign, operator      + and -, / as *, & and |, and and or, a lost minus or not
    factor              2 becomes 1, 0.5 becomes 1, any other number doubles, 0 becomes 1
    term                one operand of a sum, difference or product is dropped
    axis                -1 and -2, a lost transpose, [..., None, :] as [..., :, None]
    function            sin and cos, min and max, sum and mean, a lost root, square or bound, ...
    branch              the two cases of a choice swapped
    comparison          < and >, <= and >=, == and !=
    statement           a refusal or a call for its effect is dropped

These are of the kind "formula". Subtler ones leave all averages and most figures as they are:

    draw                members, steps, axes or purposes share what should be independent draws
    count               n and n - 1, in a mean, a standard deviation or anywhere else
    record              a slice or an index off by one, rounding lost, times that were not trained
    tolerance           a number below 1e-3 or an eps times 1000, a whole number of nodes over 10
    bar                 an error bar doubled or halved

Left alone: annotations, messages, docstrings, decorators, where a tensor lives, the progress bar,
what guards against a division by zero (numbers below 1e-100), and the ``inputs`` of an exercise:
any other points of comparison serve that tell its mistakes apart.
"""

import ast
import re
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

KINDS = ("formula", "draw", "count", "record", "tolerance", "bar", "listed")
LISTED = Path(__file__).with_suffix("")  # a folder, one file per module that needs one
SWAPPED = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.Lt: ("<", ">"),
    ast.LtE: ("<=", ">="),
    ast.Gt: (">", "<"),
    ast.GtE: (">=", "<="),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}
TERMS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.MatMult: "@"}
RENAMED = {"sin": "cos", "min": "max", "amin": "amax", "argmin": "argmax", "ceil": "floor"}
RENAMED |= {"any": "all", "zeros": "ones", "zeros_like": "ones_like", "sum": "mean"}
RENAMED |= {"real": "imag"} | {"cosh": "sinh", "exp": "expm1", "log": "log1p"}
RENAMED |= {new: old for old, new in RENAMED.items()}
DROPPED = {"sqrt", "square", "abs", "clamp", "flip", "conj", "mT", "T", "sorted", "reversed", "cos"}
SKIPPED_KEYWORDS = {"strict", "desc", "unit", "total", "delay", "dtype", "device", "maxsize"}
SKIPPED_KEYWORDS |= {"stacklevel"}


@dataclass(frozen=True)
class Fault:
    """One wrong edit: ``before`` and ``after`` are the lines it touches, on one line each."""

    module: str  # path below the package without its ending, "numerics/draws"
    line: int
    before: str
    after: str
    source: str  # the whole module with the fault in it
    kind: str = "formula"

    def __str__(self) -> str:
        return f"{self.module}:{self.line}  {self.before}  ->  {self.after}"


def generated(module: str, source: str) -> list[Fault]:
    """All faults that the rules above find in ``source``, each once, in the order of the lines."""
    text, found = source.encode(), {}
    for planter in (_Formula(source), _Subtle(source)):
        for statement in ast.parse(source).body:
            planter.edits.clear()
            planter.visit(statement)
            first, last = planter.start(statement), planter.end(statement)
            for start, end, new, kind in planter.edits:
                if _parses(text[first:start] + new.encode() + text[end:last]):
                    mutant = (text[:start] + new.encode() + text[end:]).decode()
                    fault = _fault(module, text, start, end, new, mutant, kind)
                    found.setdefault(mutant, fault)
    return sorted(found.values(), key=lambda fault: fault.line)


def entries(module: str) -> dict:
    """What the list says of a module: ``fault``, ``equivalent``, ``tests`` and ``untested``.

    tests = "test_clock"            where its tests are, if they do not carry its name
    untested = "looks alone"        why no unit test could judge it
    [[fault]]                       what the rules do not find; ``old`` must stand once
    old = "sin(a)"
    new = "sin(b)"
    [[equivalent]]                  what changes nothing a reader could see: whole lines, with
    before = "a = b + 1"            single spaces and without what is indented
    after = ["a = b", "a = b - 1"]
    reason = "b is large"
    """
    path = LISTED / f"{module}.toml"
    return tomllib.loads(path.read_text("utf8")) if path.exists() else {}


def listed(module: str, source: str) -> list[Fault]:
    """The faults that the list adds to this module. ValueError when one no longer fits."""
    found = []
    for entry in entries(module).get("fault", []):
        old, new = entry["old"], entry["new"]
        if source.count(old) != 1:
            raise ValueError(f"{old!r} must stand once in {module}: mend its list of faults")
        start = len(source[: source.index(old)].encode())
        mutant = source.replace(old, new)
        found.append(_fault(module, source.encode(), start, start + len(old.encode()), new, mutant))
    return found


def excused(module: str, faults: list[Fault]) -> dict[Fault, str]:
    """The faults that change nothing a reader could see, with the reason.

    Raises ValueError on an entry of the list that matches no fault: the line has changed.
    """
    reasons = {}
    for entry in entries(module).get("equivalent", []):
        for after in entry["after"]:
            same = [f for f in faults if (f.before, f.after) == (entry["before"], after)]
            if not same:
                raise ValueError(f"no such fault in {module} any more, mend its list: {after}")
            reasons |= dict.fromkeys(same, entry["reason"])
    return reasons


class _Planter(ast.NodeVisitor):
    """Collects edits (start, end, text, kind), in bytes because ``ast`` counts columns in bytes."""

    def __init__(self, source: str):
        self.text = source.encode()
        self.lines = [0]
        for line in self.text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.edits: list[tuple[int, int, str, str]] = []

    def start(self, node: ast.AST) -> int:
        return self.lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.AST) -> int:
        return self.lines[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.AST) -> str:
        return self.text[self.start(node) : self.end(node)].decode()

    def edit(self, start: int, end: int, new: str, kind: str = "formula") -> None:
        self.edits.append((start, end, new, kind))

    def replace(self, node: ast.AST, new: str, kind: str = "formula") -> None:
        self.edit(self.start(node), self.end(node), new, kind)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text, whose wording and digits are not physics."""


class _Formula(_Planter):
    """Wrong signs, factors, terms, axes, functions, branches, comparisons and statements."""

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.BinOp) and b".eps" in self.text[self.start(node) : self.end(node)]:
            return
        super().visit(node)

    def swap_operator(self, op: ast.AST, left: ast.AST, right: ast.AST) -> None:
        if type(op) in SWAPPED:
            old, new = SWAPPED[type(op)]
            at = self.text.index(old.encode(), self.end(left), self.start(right))
            self.edit(at, at + len(old), new)

    def exchange(self, one: ast.AST, other: ast.AST) -> None:
        between = self.text[self.end(one) : self.start(other)].decode()
        new = self.of(other) + between + self.of(one)
        self.edit(self.start(one), self.end(other), new)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not isinstance(node.op, ast.Mult):  # dropping a factor is enough
            self.swap_operator(node.op, node.left, node.right)
        if type(node.op) in TERMS:
            operator = TERMS[type(node.op)].encode()
            at = self.text.index(operator, self.end(node.left), self.start(node.right))
            if not _is_number(node.right):  # a dropped number is the same as a changed one
                left = self.text[:at].rstrip()
                self.edit(len(left), self.end(node), "")
            nested = isinstance(node.left, ast.BinOp) and type(node.left.op) is type(node.op)
            if isinstance(node.op, ast.Mult) and not nested and not _is_number(node.left):
                right = self.text[at + 1 :].lstrip()
                self.edit(self.start(node), len(self.text) - len(right), "")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if not (_is_number(node.operand) and isinstance(node.operand.value, int)):  # an axis
            self.edit(self.start(node), self.start(node.operand), "")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            self.swap_operator(node.op, left, right)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = pairwise([node.left, *node.comparators])
        for op, (left, right) in zip(node.ops, sides, strict=True):
            self.swap_operator(op, left, right)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value))
        elif _is_number(node):
            k = node.value
            if not k:
                self.replace(node, "1")
            elif 1e-3 <= k <= 1e5:
                self.replace(node, repr(type(k)(1)) if k in (2, 0.5) else repr(2 * k))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.swap_operator(node.op, node.target, node.value)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._rename(node, node.attr, self.end(node) - len(node.attr.encode()))
        if node.attr in ("mT", "T"):
            self.edit(self.end(node.value), self.end(node), "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if isinstance(called, ast.Name) and called.id not in ("sum", "mean"):
            self._rename(called, called.id, self.start(called))
        name = getattr(called, "attr", None) or getattr(called, "id", None)
        if name == "isinstance":  # its types are not arithmetic
            return self.visit(node.args[0])
        if name == "Exercise":
            # the points on which functions are compared are data
            node.keywords = [word for word in node.keywords if word.arg != "inputs"]
        if name in DROPPED:
            self._drop_call(node)
        if name in ("where", "atan2") and len(node.args) >= 2:
            self.exchange(*node.args[-2:])
        self.generic_visit(node)

    def _rename(self, node: ast.AST, name: str, start: int) -> None:
        if name in RENAMED:
            self.edit(start, start + len(name), RENAMED[name])

    def _drop_call(self, node: ast.Call) -> None:
        owner = getattr(node.func, "value", None)
        if isinstance(owner, ast.Name) and owner.id in ("torch", "np", "math") or owner is None:
            self.replace(node, f"({self.of(node.args[0])})")
        else:
            self.edit(self.end(owner), self.end(node), "")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        for one, other in pairwise(parts):
            if _is_none(one) and isinstance(other, ast.Slice):
                self.edit(self.start(one), self.end(other), f"{self.of(other)}, None")
            elif isinstance(one, ast.Slice) and _is_none(other):
                self.edit(self.start(one), self.end(other), f"None, {self.of(one)}")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        test = self.text[self.end(node.body) : self.start(node.orelse)].decode()
        self.replace(node, self.of(node.orelse) + test + self.of(node.body))
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [getattr(target, "id", "") for target in node.targets]
        if not any(name[:1].isupper() and not name.isupper() for name in names):  # a type's name
            self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in SKIPPED_KEYWORDS:
            self.generic_visit(node)


class _Subtle(_Planter):
    """Shared draws, n and n - 1, off by one record, loose tolerances, wrong error bars."""

    purposes: tuple[str, ...] = ()  # of all draws of the function that is being visited

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name, whole = _called(node), self.of(node)
        if _purpose(node):
            self._share(node, whole)
        elif name in ("std", "var") and not any(w.arg == "correction" for w in node.keywords):
            self.replace(node, f"{whole[:-1]}, correction=0)", "count")
        elif name == "mean" and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
            axis = self.of(node.args[0])
            every = self.of(node.func.value)
            few = f"(lambda x: x.sum({axis}) / (x.shape[{axis}] - 1))({every})"
            self.replace(node, few, "count")
        elif name in ("argmax", "argmin", "searchsorted"):
            self.replace(node, f"({whole} + 1)", "record")
            self.replace(node, f"({whole} - 1)", "record")
        elif name == "round":
            self.replace(node, f"({self.of(_operand(node))})", "record")
        elif name == "standard_error":
            self._bar(node)
        elif name == "Estimate" and len(node.args) > 1:
            self._bar(node.args[1])
        if not (name or "").startswith(("_check", "whole_number")):  # these draw nothing
            self._seeds([*node.args, *(word.value for word in node.keywords)])

    def _share(self, node: ast.Call, whole: str) -> None:
        purpose, shape = _purpose(node), node.args[-1]
        lengths = shape.elts if isinstance(shape, ast.Tuple) else [shape]
        for axis, length in enumerate(reversed(lengths)):
            if not _is_one(length):
                same = f"..., :1{', :' * axis}"
                self.replace(node, f"(lambda x: x[{same}] + 0 * x)({whole})", "draw")
        if not any(map(_is_one, node.args[2:3])):  # the members of an ensemble
            self.replace(node, f"(lambda x: x[:1] + 0 * x)({whole})", "draw")
        mine = self.of(purpose)
        others = {re.sub(r"\{.*?\}", "", mine).removeprefix("f"), *self.purposes}
        for other in sorted(others - {mine}):
            self.replace(purpose, other, "draw")
        if purpose is node.args[0] and not _is_number(node.args[1]):  # of a Stream
            self.replace(node.args[1], f"0 * ({self.of(node.args[1])})", "draw")

    def _seeds(self, values: list[ast.AST]) -> None:
        for value in values:
            if isinstance(value, ast.Name) and value.id in ("seed", "first"):
                self.replace(value, "0", "draw")

    def _bar(self, node: ast.AST) -> None:
        node = node.body if isinstance(node, ast.IfExp) else node  # else None
        for factor in (2, 0.5):
            self.replace(node, f"{factor} * ({self.of(node)})", "bar")

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg == "error":
            self._bar(node.value)
        if node.arg not in SKIPPED_KEYWORDS:
            self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if (
            _is_one(node.right)
            and isinstance(node.op, ast.Add | ast.Sub)
            and not _is_number(node.left)
        ):
            self.edit(self.end(node.left), self.end(node), "", "count")
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound, step in ((node.lower, "+ 1"), (node.upper, "- 1")):
            if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
                self.replace(bound, f"{self.of(bound)} {step}", "record")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("clock", "time"):
            self.replace(node, "time", "record")
        if node.attr == "eps":
            self.replace(node, f"(1000 * {self.of(node)})", "tolerance")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if _is_number(node) and 1e-100 < node.value < 1e-3:
            self.replace(node, f"{1000 * node.value:.12g}", "tolerance")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in filter(None, node.args.kw_defaults):
            self._fewer(default)
        calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
        outer = self.purposes  # those of an inner function are among them
        self.purposes = outer or tuple(self.of(_purpose(call)) for call in calls if _purpose(call))
        super().visit_FunctionDef(node)
        self.purposes = outer

    def visit_Assign(self, node: ast.Assign) -> None:
        if getattr(node.targets[0], "id", "").isupper():
            self._fewer(node.value)
        self.generic_visit(node)

    def _fewer(self, node: ast.AST) -> None:
        if _is_number(node) and isinstance(node.value, int) and node.value >= 10:
            self.replace(node, str(node.value // 10), "tolerance")


def _called(node: ast.Call) -> str | None:
    return getattr(node.func, "attr", None) or getattr(node.func, "id", None)


def _operand(node: ast.Call) -> ast.AST:
    """What a function or a method acts on."""
    return node.args[0] if node.args else node.func.value


def _purpose(node: ast.Call) -> ast.AST | None:
    """The word of a draw, ``draws.normal(seed, "word", ...)`` or ``stream.normal("word", ...)``."""
    drawn = _called(node) in ("normal", "uniform", "integers", "_normals")
    texts = [arg for arg in node.args[:3] if isinstance(arg, ast.JoinedStr) or _is_text(arg)]
    return texts[0] if drawn and texts else None


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_number(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    )


def _is_one(node: ast.AST) -> bool:
    return _is_number(node) and node.value == 1


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _parses(source: bytes) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _fault(
    module: str, text: bytes, start: int, end: int, new: str, mutant: str, kind: str = "listed"
) -> Fault:
    first = text.rfind(b"\n", 0, start) + 1
    last = text.find(b"\n", end) % (len(text) + 1)  # -1, no further line, becomes the end
    before = text[first:last].decode()
    after = text[first:start].decode() + new + text[end:last].decode()
    line = text.count(b"\n", 0, start) + 1
    return Fault(module, line, " ".join(before.split()), " ".join(after.split()), mutant, kind)
