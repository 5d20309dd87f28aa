"""Exercises of ``chapters/scaling_laws.md``, worked out a second time."""

import numpy as np
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.optimize import brentq, linprog, minimize_scalar

K = np.arange(1, 101)
LAM, POWER = K**-1.5, K**-2.0


def worst(rate):
    """Where the second derivative of exp(-rate q t) in q, at q = 1, is largest."""
    return minimize_scalar(
        lambda t: -(t**2) * np.exp(-rate * t), bounds=(0.01, 9), method="bounded"
    ).x


def averaged(networks, share=0.25):
    """Loss of an average of projections on a random share of all directions."""
    same = (1 - share) ** 2
    return same + (1 - share - same) / networks


def static():
    kappa = brentq(lambda x: (LAM / (LAM + x)).sum() - 40, 1e-9, 1)
    missed = kappa / (LAM + kappa)
    bias = (POWER * missed**2).sum()
    spent = ((1 - missed) ** 2).sum()
    # what forty neurons write at random: the learned power, over what is left of their freedom
    spread = (missed * (1 - missed)).sum() * (POWER * missed * (1 - missed)).sum() / (40 - spent)
    return bias + spread, bias, bias * 40 / (40 - spent)


def transform(z, lam, power, width):
    """sum power H at real z, where kappa needs nothing but a bracket; elsewhere by continuation."""
    kappa = brentq(lambda x: x * (1 - (lam / (lam + x)).sum() / width) - abs(z),
                   floor(lam, width), abs(z) + lam.sum(), xtol=1e-15) + 0j  # fmt: skip
    for angle in np.linspace(0, np.angle(z), 60)[1:]:
        target = abs(z) * np.exp(1j * angle)
        for _ in range(6):
            L = lam / (lam + kappa)
            left = 1 - L.sum() / width
            kappa -= (kappa * left - target) / (left + (L * (1 - L)).sum() / width)
    return (power * kappa / (lam + kappa)).sum() / z


def floor(lam, width):
    if width >= len(lam):
        return 0.0
    return brentq(lambda x: (lam / (lam + x)).sum() - width, 1e-12, lam.sum(), xtol=1e-16)


def responses(lam, power, width, time):
    """By a hyperbola instead of Talbot's contour."""
    u = np.linspace(-4.2, 4.2, 281)
    scale = 12 / time
    z = scale * (1 + np.sin(1j * u - 1.17))
    slope = scale * 1j * np.cos(1j * u - 1.17)
    values = [
        np.exp(s * time) * d * transform(s, lam, power, width)
        for s, d in zip(z, slope, strict=True)
    ]
    return (np.sum(values) * (u[1] - u[0]) / (2j * np.pi)).real


def fresh(lam, power, width, time):
    return responses(lam.numpy(), power.numpy(), width, 2 * time)


def squared(lam, power, width, time):
    modes = np.eye(len(lam))
    each = [responses(lam.numpy(), one, width, time) for one in modes]
    return (power.numpy() * np.square(each)).sum()


def wide(lam, power, width, time):
    return (power.numpy() * np.diag(expm(-2 * time * np.diag(lam.numpy())))).sum()


def white_loss(t, noise=0.5):
    """A hundred equal features, fifty samples: averages over Marchenko and Pastur's spectrum."""
    low, high = (1 - 2**0.5) ** 2, (1 + 2**0.5) ** 2

    def density(q):
        return np.sqrt((high - q) * (q - low)) / (4 * np.pi * q)

    def term(q):
        return density(q) * (np.exp(-2 * q * t) + 2 * noise * (1 - np.exp(-q * t)) ** 2 / q)

    return 0.5 + quad(term, low, high)[0]


def stop(noise):
    return minimize_scalar(lambda t: white_loss(t, noise), bounds=(0.1, 5), method="bounded").x


def best(a, b, cost, *, onset=True, of_time=False):
    """N = C^n, t = C^(1 - cost n): the least of the largest of all powers of C that are left."""
    terms = [((a - 1) / b, 0.0), (0.0, min(a - 1, b))]  # falls with t, and with N
    if onset and a - 1 > b:  # else it is never the largest
        terms.append((1 - 1 / b, 1.0))
    rows = [[fall * cost - width, -1.0] for fall, width in terms]
    bounds = [(0, 1 / cost), (None, None)]
    found = linprog([0, 1], rows, [fall for fall, _ in terms], bounds=bounds)
    return 1 - cost * found.x[0] if of_time else -found.fun


def balanced(a, b):
    """What time leaves equals what width leaves, a minimum or not, for C = N^2 t."""
    fall = (a - 1) / b
    return fall / (1 + 2 * (1 / b if a - 1 < b else fall - (1 - 1 / b)))


WIDTH, BIAS, DATA = static()
ANSWERS = {
    "worst_moment": worst(2),
    "ensemble": averaged(2),
    "plateaus": [WIDTH, DATA],
    "contour": fresh,
    "stopping": stop(0.5),
    "dense": lambda a, b: best(a, b, 2),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "worst_moment": [worst(1), 0.5],
    "ensemble": [averaged(1), averaged(1e12), averaged(1) / 2, averaged(1, 0.5)],
    "plateaus": [[BIAS, BIAS], [WIDTH, WIDTH], [BIAS, DATA]],
    "contour": [lambda lam, power, width, time: fresh(lam, power, width, time / 2), squared, wide],
    "stopping": [stop(0.25), stop(0.5**0.5)],
    "dense": [
        lambda a, b: best(a, b, 1),
        lambda a, b: best(a, b, 2, onset=False),
        lambda a, b: best(a, b, 2, of_time=True),
        balanced,
        lambda a, b: (a - 1) / (2 + b),
    ],
}
