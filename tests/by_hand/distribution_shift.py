"""Exercises of ``chapters/distribution_shift.md``, worked out a second time."""

import numpy as np
from scipy.optimize import brentq, minimize_scalar


def white_exam(n=25, modes=50, noise=0.1, add=True, square=2):
    """Half of the inputs asked with variance 2; the target lies there, with power 1."""
    kappa = brentq(lambda k: modes / (1 + k) - n, 1e-9, 1e3)
    L = 1 / (1 + kappa)
    own = ((1 - L) ** 2 + noise) / (1 - modes * L**2 / n)
    spread = own if add else own - noise
    return 2 * (1 - L) ** square, spread * L**2 / n * 2 * modes / 2


def lecture(power=None):
    cost = lambda s: 9 / s + 1 / (10 - s)  # noqa: E731
    if power is None:
        return minimize_scalar(cost, bounds=(0.1, 9.9), method="bounded", options={"xatol": 1e-9}).x
    return 10 * 9**power / (9**power + 1)


def easiest(e, q, temperature, sign=-1, start=True, norm=True):
    """Exponentiated gradient steps, many and small, of a total length 1 / temperature."""
    e, q = e.numpy(), q.numpy()
    log_weight = np.log(q) if start else np.zeros(len(q))
    for _ in range(1000):
        log_weight = log_weight + sign * e / temperature / 1000
    weight = np.exp(log_weight)
    return weight / weight.sum() if norm else weight


def share_of_worst(ration=3, points=3000):
    """Fill the points with the largest error first."""
    e = np.random.default_rng(0).random(points)
    asked = np.zeros(points)
    for point in np.argsort(-e):
        asked[point] = min(ration / points, 1 - asked.sum())
        if asked.sum() >= 1 - 1e-12:
            break
    return (asked > 1e-9).mean()


def best_exponent(n=12, noise=0.25):
    t = np.arange(1.0, 31) ** -2
    t /= t.sum()

    def error(power):
        s = t**power / (t**power).sum()
        kappa = brentq(lambda k: (s / (s + k)).sum() - n, 1e-12, 1e2, xtol=1e-15)
        L = s / (s + kappa)
        fresh = (((1 - L) ** 2 * s).sum() + noise) / (1 - (L**2).sum() / n)
        return ((1 - L) ** 2 * t).sum() + fresh / n * (L**2 * t / s).sum()

    return minimize_scalar(error, bounds=(0, 1.5), method="bounded").x


def moments(n, D):
    """<Q_11 Q_11> and <Q_12 Q_12> of the projection on what n random samples do not show.

    Of D unit vectors Q shows D - n, so <Q_11> = (D - n)/D; Q_11 is a Beta variable.
    """
    a, b = (D - n) / 2, n / 2
    square = a * (a + 1) / (a + b) / (a + b + 1)
    # Q_11 = sum_j Q_1j^2, and all D - 1 other terms are alike
    return square, (a / (a + b) - square) / (D - 1)


def missed(n, w, test):
    """Rotate w onto the first axis: the error is the mean of the first column of Q, under test."""
    w, test = w.numpy(), test.numpy()
    along = w @ test @ w / (w @ w)
    square, other = moments(n, len(w))
    return (w @ w) * (square * along + other * (np.trace(test) - along))


def missed_wrongly(bias):
    def answer(n, w, test):
        w, test, a = w.numpy(), test.numpy(), n / len(w)
        even = np.trace(test) * (w @ w) / len(w)
        return bias(a, w @ test @ w, even)

    return answer


ANSWERS = {
    "half_exam": sum(white_exam()),
    "lecture": lecture(),
    "easiest": easiest,
    "ration": share_of_worst(),
    "few_samples": best_exponent(),
    "one_part": missed,
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "half_exam": [
        0.6,
        white_exam()[0],
        sum(white_exam(add=False)),
        white_exam()[1],
        sum(white_exam(square=1)),
        sum(white_exam(noise=0)),
    ],
    "lecture": [lecture(1), lecture(0), 10.0, lecture(2), lecture(-0.5)],
    "easiest": [
        lambda e, q, temperature: easiest(e, q, temperature, sign=1),
        lambda e, q, temperature: easiest(e, q, temperature, start=False),
        lambda e, q, temperature: easiest(e, q, temperature, norm=False),
        lambda e, q, temperature: easiest(e, q, 1 / temperature),
    ],
    "ration": [0, 1, 2 / 3],
    "few_samples": [0.5, 1, 0],
    "one_part": [
        missed_wrongly(lambda a, own, even: (1 - a) * own),
        missed_wrongly(lambda a, own, even: (1 - a) ** 2 * own),
        missed_wrongly(lambda a, own, even: (1 - a) * even),
        missed_wrongly(lambda a, own, even: (1 - a) ** 2 * own + a * (1 - a) * even),
    ],
}
