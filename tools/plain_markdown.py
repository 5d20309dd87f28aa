"""MyST to the Markdown that Colab and GitHub show: references and citations resolved."""

import re
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath

from _ext import bindings, book
from tools import citations, myst
from tools.labels import Label

COMMENT = re.compile(r"^%.*\n?|^\{[.#][^}\n]*\}[ \t]*\n?", re.M)
LINK = re.compile(r"(?<=\])\((?!\w+:)(?P<target>[^()\s]+)\)")
LEFT = re.compile(r"\{[\w:]+\}`|^ *[`:]{3,}\{|^ *:{3,}|^\([\w-]+\)=|^%|\$\$ *\([\w-]+\)|\{\{", re.M)
ADMONITIONS = {"admonition", "note", "tip", "hint", "important", "warning", "caution", "seealso"}


def leftovers(markdown: str) -> list[str]:
    """The lines that still hold a MyST role or directive, outside code."""
    prose = "\n".join(block for block in myst.blocks(markdown) if isinstance(block, str))
    prose = myst.ROLE_OR_CODE.sub(lambda m: m[0] if m["role"] else "", prose)
    directives = [b.name for b in myst.blocks(markdown) if isinstance(b, myst.Directive)]
    return directives + [line for line in prose.splitlines() if LEFT.search(line)]


@dataclass
class Page:
    """Converts one page; remembers what it cites."""

    name: str
    labels: dict[str, Label]
    titles: dict[str, str]
    time: str = ""  # how long it runs on one CPU core
    cited: list[str] = field(default_factory=list)

    def markdown(self, text: str) -> str:
        parts = [self._block(block) for block in myst.blocks(text)]
        return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)).strip("\n")

    def _block(self, block: str | myst.Code | myst.Directive) -> str:
        if isinstance(block, myst.Code):
            return block.text
        return self._prose(block) if isinstance(block, str) else self._directive(block)

    def _prose(self, text: str) -> str:
        text = myst.TARGET.sub("", COMMENT.sub("", text))
        text = myst.MATH.sub(lambda m: self._math(m["body"], m["label"]), text)
        text = myst.ROLE_OR_CODE.sub(lambda m: self._role(m) if m["role"] else m[0], text)
        return LINK.sub(lambda m: f"({self._relative(m['target'])})", text)

    def _math(self, body: str, label: str | None) -> str:
        tag = f"\n\\tag{{{self._label(label).number}}}" if label else ""
        return f"$$\n{body}{tag}\n$$"

    def _directive(self, block: myst.Directive) -> str:
        body, title = block.body, block.argument and f" ({self._prose(block.argument)})"
        if block.name == "math":
            return self._math(body, block.options.get("label"))
        if block.name == "chapter-card":
            return self._card(block.options)
        if block.name == "exercise":
            label = self._label(block.options["label"])
            return f"**{label}{title}.** {self.markdown(body)}"
        if block.name == "solution":
            exercise = self._label(block.argument)
            title = f" ({self._prose(exercise.title)})" if exercise.title else ""
            return _fold(f"Solution to {exercise}{title}", self.markdown(body))
        if block.name.startswith("prf:"):
            kind = block.name.removeprefix("prf:").title()
            label = block.options.get("label")
            name = str(self._label(label)) if label else kind
            return _quote(f"**{name}{title}.** {self.markdown(body)}")
        if block.name in ADMONITIONS | {"dropdown"}:
            title = self._prose(block.argument) or block.name.title()
            folded = block.folded or block.name == "dropdown"
            text = self.markdown(body)
            return _fold(title, text) if folded else _quote(f"**{title}**\n\n{text}")
        raise ValueError(f"{self.name}.md: the notebooks have no form for {{{block.name}}}")

    def _card(self, options: dict[str, str]) -> str:
        read = f"[This chapter in the book]({book.page_link(self.name)})."
        facts = {"Time on one CPU core": self.time, "GPU": options["gpu"]}
        facts["Prerequisites"] = options["needs"]
        return " ".join([read, *(f"{name}: {fact}." for name, fact in facts.items())])

    def _role(self, match: re.Match) -> str:
        role, content = match["role"], match["content"]
        if role in ("cite", "cite:p", "cite:t"):
            keys = [key.strip() for key in content.split(",")]
            self.cited += keys
            return citations.textual(keys) if role == "cite:t" else citations.parenthetical(keys)
        text, target = myst.explicit(content)
        if role == "math":
            return f"${content}$"
        if role in ("num", "given"):
            return bindings.shown(content)
        if role in ("term", "abbr"):
            return text or target
        if role == "doc":
            page = self._page(target)
            return f"[{text or self.titles[page]}]({_address(page)})"
        if role in ("eq", "numref", "ref", "prf:ref"):
            return self._reference(text, target)
        raise ValueError(f"{self.name}.md: the notebooks have no form for {{{role}}}`{content}`")

    def _reference(self, text: str | None, target: str) -> str:
        label = self._label(target)
        number = label.number or ""
        shown = text.replace("%s", number).replace("{number}", number) if text else str(label)
        shown = self._prose(shown) if "`" in shown else shown
        return shown if label.page == self.name else f"[{shown}]({_address(label.page)})"

    def _label(self, name: str) -> Label:
        if name not in self.labels:
            raise ValueError(f"{self.name}.md: no label {name}")
        return self.labels[name]

    def _page(self, target: str) -> str:
        target = target.removesuffix(".md")
        page = target[1:] if target.startswith("/") else join(dirname(self.name), target)
        if normpath(page) not in self.titles:
            raise ValueError(f"{self.name}.md: no page {target}")
        return normpath(page)

    def _relative(self, target: str) -> str:
        if target.startswith("#"):
            return _address(self._label(target[1:]).page)
        if target.endswith(".md"):
            return _address(self._page(target))
        return book.source_link(normpath(join(dirname(self.name), target)))


def _address(page: str) -> str:
    """Where a reader of the notebook finds a page: as a notebook, if it has one, or its source."""
    notebook = f"notebooks/{book.notebook(page).name}"
    return book.source_link(notebook if page in book.with_notebook() else f"{page}.md")


def _fold(title: str, text: str) -> str:
    return f"<details>\n<summary><b>{title}</b></summary>\n\n{text}\n\n</details>"


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
