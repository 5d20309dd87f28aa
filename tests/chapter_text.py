"""How the tests read a chapter: what is prose, which symbols it uses, which numerals it states."""

import re
from dataclasses import dataclass

import yaml

FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})(?:\{(?P<kind>[\w:-]+)\})? *(?P<title>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence) *$\n?",
    re.M | re.S,
)
OPTIONS = re.compile(r"\A\s*(?:---\n.*?^---\n|(?::[\w-]+:[^\n]*\n)+)", re.M | re.S)
NOT_PROSE = {None, "bibliography", "chapter-card", "claims-ledger", "code-block", "code-cell"}
MATH = re.compile(r"(\$\$.+?\$\$|(?<!\\)\$[^$]+\$|\\begin\{\w+\*?\}.+?\\end\{\w+\*?\})", re.S)
LEFT_OUT = [
    (r"\A---\n.*?^---\n", ""),
    (r"^ *%.*$|<!--.*?-->", ""),
    (r"^\([\w-]+\)=$", ""),  # labels
    (r"^[ |:-]+$", ""),  # rules of tables
    (r"^( *)\d+[.)] ", r"\1"),  # numbers of list items
    (r"\{math\}`([^`]+)`", r"$\1$"),
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
WORDS = re.compile(
    r"\\(?:text(?:rm|bf|it)?|mathrm|mathsf|mathtt|operatorname\*?)(?:\{[^{}]*\}|\s+\w)"
    r"|\\(?:label|tag|begin|end)\{[^{}]*\}|\{\\rm [^{}]*\}"
)

RELATION = re.compile(
    r"\\(?:approx|simeq|sim|leq?|geq?|ll|gg|lesssim|gtrsim|to|quad|qquad)(?![A-Za-z])"
    r"|\\\\|[=<>,;&]"
)
NUMBER = re.compile(
    r"(?:(?<![\w.)\]-])(?P<sign>[-+]))?(?<![\w.^_/])"
    r"(?P<mantissa>\d++(?:\.\d++)?)(?:/(?P<below>\d++)|e(?P<power>[-+]?\d++))?"
    r"(?!\.\d|/?\d|-?(?:D|st|[nr]d|th)\b)"
)
PERCENT = re.compile(r"\s*\$?\s*(?:(?:to|and|or|–|--?)\s*[\d.]+\s*)?\\?(?:%|per ?cent\b)")
NOISE = re.compile(r"\\(?:pm|l?dots|left|right|[,;:! ])|[\s()\[\]{}~%.±–]")


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


@dataclass(frozen=True)
class Numeral:
    """A number as it is printed. ``half`` is half a unit of its last digit."""

    text: str
    value: float
    half: float
    percent: bool = False
    context: str = ""

    def states(self, value: float) -> bool:
        """Whether this is ``value``, rounded to the digits shown."""
        shown, value = self.value, 100 * value if self.percent else value
        if self.text[0] not in "-+":
            value = abs(value)
        slack = self.half
        if not self.percent and shown == round(shown) and abs(shown) < 10:
            slack = 0  # a small count is exact: 0.93 is not "1"
        return abs(shown - value) <= slack * (1 + 1e-6) + 1e-6 * abs(shown)


def numerals(text: str) -> list[Numeral]:
    """The numerals of prose, and those that a formula states rather than builds with."""
    found = []
    parts = MATH.split(text)
    for place, part in enumerate(parts):
        after = parts[place + 1] if place + 1 < len(parts) else ""
        if place % 2:
            before = parts[place - 1][-40:]
            context = " ".join(f"{before}{part}{after[:40]}".split())
            found += [
                Numeral(n.text, n.value, n.half, n.percent or bool(PERCENT.match(after)), context)
                for n in stated(part)
            ]
        else:
            found += _numbers(plain(part))
    return found


def stated(tex: str) -> list[Numeral]:
    """Numerals of a formula that stand alone, or alone on one side of a relation.

    Beside symbols a single digit is structure, as in ``L = 2`` or ``m > 0``, and not counted.
    """
    tex = _without_scripts(WORDS.sub(" ", plain(tex).strip("$")))
    sides = [side for side in RELATION.split(tex) if side.strip()]
    alone = [not NOISE.sub("", NUMBER.sub("", side)) for side in sides]
    found = [n for side, lonely in zip(sides, alone, strict=True) if lonely for n in _numbers(side)]
    if all(alone):
        return found
    return [n for n in found if not re.fullmatch(r"[-+]?\d(?:/\d)?", n.text)]


def plain(text: str) -> str:
    """The spellings of a number in TeX and type, reduced to 1234.5, 1e-7 and 1/2."""
    for pattern, replacement in [
        (r"−", "-"),
        (r"\\%", "%"),
        (r"\\[td]?frac\{?(\d+)\}?\{?(\d+)\}?", r" \1/\2 "),
        (r"(?<=\d)(?:\{,\}|\\,|,)(?=\d{3}(?!\d))", ""),
        (r"(?<=\d)\s*(?:\\times|\\cdot|×)\s*10\^\{?(-?\d+)\}?", r"e\1"),
        (r"(?<![\w.])10\^\{?(-?\d+)\}?", r"1e\1"),
    ]:
        text = re.sub(pattern, replacement, text)
    return text


def _without_scripts(tex: str) -> str:
    """Without sub- and superscripts, innermost braces first; a power of a number is a symbol."""
    script = r"\s*(?:\{[^{}]*\}|\\?\w)"
    bare = re.sub(rf"[\d.]+\^{script}", "x", tex)
    bare = re.sub(rf"[_^]{script}", "", bare)
    return bare if bare == tex else _without_scripts(bare)


def _numbers(text: str) -> list[Numeral]:
    found = []
    for match in NUMBER.finditer(text):
        mantissa, power = match["mantissa"], int(match["power"] or 0)
        value = float(mantissa) * 10.0**power / float(match["below"] or 1)
        decimals = len(mantissa.partition(".")[2])
        half = 0.0 if match["below"] else 0.5 * 10.0 ** (power - decimals)
        sign = -1 if match["sign"] == "-" else 1
        percent = bool(PERCENT.match(text, match.end()))
        context = " ".join(text[max(0, match.start() - 40) : match.end() + 40].split())
        found.append(Numeral(match[0], sign * value, half, percent, context))
    return found
