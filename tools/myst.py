"""The grammar of a MyST page, as far as the notebooks need it: prose, code and directives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|:{3,})(?:\{(?P<name>[\w:-]+)\})? *(?P<argument>.*)$")
OPTION = re.compile(r"^:([\w-]+): *(.*)$")
MATH = re.compile(
    r"^\$\$\s*(?P<body>.+?)\s*\$\$(?:[ \t]*\((?P<label>[\w-]+)\))?[ \t]*$", re.M | re.S
)
TARGET = re.compile(r"^\(([\w-]+)\)=[ \t]*$", re.M)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.M)
ROLE_OR_CODE = re.compile(
    r"\{(?P<role>[\w:]+)\}`(?P<content>[^`]+)`|(?P<code>`+).+?(?P=code)(?!`)", re.S
)
EXPLICIT = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", re.S)


@dataclass(frozen=True)
class Code:
    """A fenced block that is shown as it stands."""

    text: str


@dataclass(frozen=True)
class Directive:
    name: str
    argument: str
    body: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def folded(self) -> bool:
        return "dropdown" in self.options.get("class", "")


def blocks(text: str) -> Iterator[str | Code | Directive]:
    """Prose, code and directives in turn; directives inside a directive stay in its body."""
    prose: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        start = FENCE.match(line)
        if not start:
            prose.append(line)
            continue
        if prose:
            yield "\n".join(prose)
            prose = []
        body = list(_until_closed(lines, start["fence"], line))
        if start["name"]:
            yield _directive(start["name"], start["argument"].strip(), body)
        else:
            yield Code("\n".join([line, *body, start["fence"]]))
    if prose:
        yield "\n".join(prose)


def _until_closed(lines: Iterator[str], fence: str, opening: str) -> Iterator[str]:
    for line in lines:
        bare = line.strip()
        if len(bare) >= len(fence) and set(bare) == {fence[0]}:
            return
        yield line
    raise ValueError(f"not closed: {opening}")


def _directive(name: str, argument: str, body: list[str]) -> Directive:
    options = {}
    while body and (option := OPTION.match(body[0])):
        options[option[1]] = option[2].strip()
        body = body[1:]
    return Directive(name, argument, "\n".join(body).strip("\n"), options)


def explicit(content: str) -> tuple[str | None, str]:
    """The text and the target of a role: `text <target>`, or the target alone."""
    content = " ".join(content.split())
    match = EXPLICIT.match(content)
    return (match["text"], match["target"]) if match else (None, content)
