"""What is a numeral of the prose, what value it states, and to how many digits."""

import re
from dataclasses import dataclass

MATH = re.compile(r"(\$\$.+?\$\$|(?<!\\)\$[^$]+\$|\\begin\{\w+\*?\}.+?\\end\{\w+\*?\})", re.S)
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
PERCENT = re.compile(r"\s*\$?\s*(?:(?:to|and|or|–|--?|±|\\pm)\s*[\d.]+\s*)?\\?(?:%|per ?cent\b)")
NOISE = re.compile(r"\\(?:pm|l?dots|left|right|[,;:! ])|[\s()\[\]{}~%.±–]")


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
    found, only_numbers = _alone(tex)
    if only_numbers:
        return found
    return [n for n in found if not re.fullmatch(r"[-+]?\d(?:/\d)?", n.text)]


def marked(text: str) -> list[Numeral]:
    """The numerals of a text that is marked to state some, single digits of formulas included."""
    parts = MATH.split(text)
    found = [_alone(p)[0] if k % 2 else _numbers(plain(p)) for k, p in enumerate(parts)]
    return [numeral for part in found for numeral in part]


def _alone(tex: str) -> tuple[list[Numeral], bool]:
    """Numerals alone on one side of a relation, and whether there is nothing beside numerals."""
    tex = _without_scripts(WORDS.sub(" ", plain(tex).strip("$")))
    sides = [side for side in RELATION.split(tex) if side.strip()]
    alone = [not NOISE.sub("", NUMBER.sub("", side)) for side in sides]
    found = [n for side, lonely in zip(sides, alone, strict=True) if lonely for n in _numbers(side)]
    return found, all(alone)


def plain(text: str) -> str:
    """The spellings of a number in TeX and type, reduced to 1234.5, 1e-7 and 1/2."""
    for pattern, replacement in [
        (r"−", "-"),
        (r"(?:\\,)?\\%", "%"),
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
