"""How the tests read a chapter: what is prose, and which symbols it uses."""

import re

import yaml

from _ext.numerals import MATH, WORDS
from tools import myst

FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})(?:\{(?P<kind>[\w:-]+)\})? *(?P<title>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence) *$\n?",
    re.M | re.S,
)
OPTIONS = re.compile(r"\A\s*(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)+)", re.M | re.S)
NOT_PROSE = {None, "bibliography", "chapter-card", "claims-ledger", "code-block", "code-cell"}


def _text(role: re.Match) -> str:
    text, target = myst.explicit(role[1])
    return text or target


LEFT_OUT = [
    (r"\A---\n.*?^---\n", ""),
    (r"^ *%.*$|<!--.*?-->", ""),
    (r"^\([\w-]+\)=$", ""),  # labels
    (r"^[ |:-]+$", ""),  # rules of tables
    (r"^( *)\d+[.)] ", r"\1"),  # numbers of list items
    (r"\{math\}`([^`]+)`", r"$\1$"),
    (r"\{(?:num|given)\}`([^`]+)`", _text),
    (r"\{[\w:]+\}`[^`]+`", " "),  # references, citations, terms
    (r"`[^`]+`", " "),
    (r"\]\([^)]*\)", "]"),
    (r"<?https?://[^\s>]+>?|arXiv:\S+|doi:\S+", " "),
    (
        r"\b(?:sections?|sec\.|eqs?\.|equations?|figs?\.|figures?|appendix|chapters?|theorems?|"
        r"lemmas?|tables?)[ ~](?i:[a-z]?\d+(?:\.\d+)*(?:,| and| to|[ -–]+)*)+",
        " ",
    ),
]
GREEK = re.compile(
    r"\\(?:alpha|beta|gamma|delta|zeta|eta|iota|kappa|lambda|mu|nu|xi|tau|upsilon|chi|psi|omega"
    r"|(?:var)?(?:epsilon|theta|pi|rho|sigma|phi)|ell"
    r"|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega)(?![A-Za-z])"
)


def prose(text: str) -> str:
    """What the reader reads: no code, no options, no references, but the captions of figures."""
    for pattern, replacement in LEFT_OUT[:1]:
        text = re.sub(pattern, replacement, text, flags=re.M | re.S)
    text = _open_fences(text)
    for pattern, replacement in LEFT_OUT[1:]:
        text = re.sub(pattern, replacement, text, flags=re.M | re.I)
    return text


def _open_fences(text: str) -> str:
    def content(block: re.Match) -> str:
        options = OPTIONS.match(block["body"])
        body = block["body"][options.end() :] if options else block["body"]
        if block["kind"] == "code-cell":
            return _caption(options[0] if options else "")
        if block["kind"] in NOT_PROSE:
            return ""
        if block["kind"] == "math":
            return f"$${body}$$\n"
        return f"{block['title']}\n\n{_open_fences(body)}\n"

    return FENCE.sub(content, text)


def _caption(options: str) -> str:
    if "caption:" not in options:
        return ""
    return yaml.safe_load(options.strip().strip("-"))["mystnb"]["figure"]["caption"] + "\n\n"


def symbols(tex: str) -> set[str]:
    """Latin letters and Greek macros of a formula, without words, operators and decorations."""
    tex = WORDS.sub(" ", tex)
    special = {rf"\{kind} {name}" for kind, name in re.findall(r"\\(mathbb|mathcal)\{(\w)\}", tex)}
    tex = re.sub(r"\\(?:mathbb|mathcal)\{\w\}", " ", tex)
    latin = re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", tex))
    return special | set(GREEK.findall(tex)) | set(latin)


def formulas(text: str) -> list[str]:
    """All mathematics in prose, inline and displayed."""
    return MATH.findall(text)
