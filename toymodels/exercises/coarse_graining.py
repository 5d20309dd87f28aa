"""Checkers of the exercises in ``chapters/coarse_graining.md``."""

import math

from toymodels.coarse_graining import NoisyTree, fixed_point, optimal_threshold, threshold
from toymodels.page.exercise import Exercise
from toymodels.random_hierarchy import RandomHierarchy, exponents, needed_samples

five = Exercise(
    "threshold of a majority of five",
    solution=threshold(5),
    mistakes={
        "that is the threshold of three children.": threshold(3),
        "that is where the best decoder gives up; a vote gives up earlier.": optimal_threshold(5),
        "that is the correlation at the threshold: the noise is half of what it lacks.": 8 / 15,
        "each of the five may be the one that decides: the slope has a factor five.": (
            (1 - 16 / 6) / 2
        ),
    },
)


def _end(noise: float) -> float:
    return float(fixed_point(NoisyTree(noise)))


end = Exercise(
    "right roots of deep trees at 12 per cent noise",
    solution=_end(0.12),
    mistakes={
        "that is the distance from one half: add it.": _end(0.12) - 0.5,
        "that is the first level alone, and errors come in at every level.": (
            0.88**3 + 3 * 0.88**2 * 0.12
        ),
        "that leaves out the cube of the correlation.": 0.5 + (0.14 / 2) ** 0.5,
        "that is the law of little noise, 1 - 3 eps^2, and a level adds more.": 1 - 3 * 0.12**2,
    },
)


def _level(p: float, noise: float, children: int) -> float:
    q = (1 - noise) * p + noise * (1 - p)
    return _vote(q, children)


def _vote(q: float, children: int) -> float:
    return sum(
        math.comb(children, k) * q**k * (1 - q) ** (children - k)
        for k in range((children + 1) // 2, children + 1)
    )


level = Exercise(
    "one level of the flow",
    solution=_level,
    mistakes={
        "the edge to the parent errs too, before the vote.": lambda p, noise, children: _vote(
            p, children
        ),
        "the edge comes after the vote there: a child errs before it is counted.": (
            lambda p, noise, children: (1 - 2 * noise) * (_vote(p, children) - 0.5) + 0.5
        ),
        "that counts exactly the smallest majority, not larger ones.": (
            lambda p, noise, children: (
                math.comb(children, (children + 1) // 2)
                * ((1 - noise) * p + noise * (1 - p)) ** ((children + 1) // 2)
                * (1 - (1 - noise) * p - noise * (1 - p)) ** ((children - 1) // 2)
            )
        ),
    },
    inputs=[(0.9, 0.1, 3), (0.7, 0.2, 5), (1.0, 0.15, 7)],
)


def _trees(noise: float) -> float:
    theta = 1 - 2 * noise
    return 16 * (2 - theta**4 - theta**8) / (theta**2 - theta**4) ** 2


def _wrong_trees(near: int, far: int, errors: int = 4):
    def trees(noise: float) -> float:
        theta = 1 - 2 * noise
        gap = theta**near - theta**far
        return errors**2 * (2 - theta ** (2 * near) - theta ** (2 * far)) / gap**2

    return trees


siblings = Exercise(
    "trees that tell siblings from cousins",
    solution=_trees,
    mistakes={
        "two edges lie between siblings and four between cousins, not one and two.": (
            _wrong_trees(1, 2)
        ),
        "cousins are four edges apart, not three.": _wrong_trees(2, 3),
        "four standard errors, and their square, sixteen.": lambda noise: _trees(noise) / 4,
        "both means fluctuate: their variances add.": lambda noise: (
            16 * (1 - (1 - 2 * noise) ** 4) / ((1 - 2 * noise) ** 2 - (1 - 2 * noise) ** 4) ** 2
        ),
    },
    inputs=[(0.1,), (0.2,), (0.03,)],
)


_wide, _short = RandomHierarchy(10, 5, 4), exponents(RandomHierarchy(5, 2, 3))

samples = Exercise(
    "samples at which counts rise from their noise",
    solution=needed_samples(_wide),
    mistakes={
        "that is for a large vocabulary: a level costs 1 + 1/v more.": float(_wide.scale),
        "correlations come down one level less than there are.": _wide.scale * 1.1**4,
        "that is as many as there are strings: nothing was learned level by level.": 10 * 5.0**15,
        "the classes count, too: n_c of them share the samples.": needed_samples(_wide) / 10,
    },
)

exponent = Exercise(
    "exponent of a learning curve, five symbols with two synonyms",
    solution=_short.alpha,
    mistakes={
        "noise falls as the root of the samples: correlations count twice.": 2 * _short.alpha,
        "that is for a large vocabulary, ln(v / m) over 2 ln m.": (
            math.log(5 / 2) / (2 * math.log(2))
        ),
        "entropy belongs on top and correlation below.": _short.beta / (2 * _short.gamma),
    },
)


def _forgets(eigenvalue: float) -> float:
    return (1 - 1 / eigenvalue) / 2


confidence = Exercise(
    "threshold of a vote with one bit of confidence",
    solution=_forgets((15 / 16 + math.sqrt((15 / 16) ** 2 + 135 / 32)) / 2),
    mistakes={
        "that is majority without the bit.": threshold(3),
        "that is belief, which sends more than one bit.": optimal_threshold(3),
        "that is the correlation at the threshold: the noise is half of what it lacks.": (
            2 / (15 / 16 + math.sqrt((15 / 16) ** 2 + 135 / 32))
        ),
        "the sign of the sure children matters to the next level: the matrix is two by two.": (
            _forgets(3 * (25 / 32 / 4 + 5 / 16 * 3 / 4))
        ),
    },
)
