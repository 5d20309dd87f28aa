"""Exercises of ``chapters/lazy_training.md``, worked out a second time."""

import math

import numpy as np
from scipy.integrate import quad

DENSITY = 1 / math.sqrt(2 * math.pi)


def wedge(psi):
    """<phi phi> and <phi' phi'> of ReLU at an angle: integrals over directions both like."""
    low, high = psi - math.pi / 2, math.pi / 2
    value = quad(lambda a: math.cos(a) * math.cos(a - psi), low, high)[0] / math.pi
    return value, (high - low) / (2 * math.pi)


def kernel(psi, *, first=True, inputs=True):
    """Matrix of the tangent kernel of one ReLU layer on two inputs."""
    entries = []
    for angle in (0.0, psi):
        value, open_ = wedge(angle)
        entries.append(value + first * open_ * (math.cos(angle) if inputs else 1.0))
    return np.array([entries, entries[::-1]])


def eigenvalue(psi, which, **how):
    return np.linalg.eigvalsh(kernel(psi, **how))[which]


def difference(psi, **how):
    matrix = kernel(psi, **how)
    return matrix[0, 0] - matrix[0, 1]


def distance(c, share, label=(1.0, -1.0)):
    """|J^T a|^2 with J J^T the kernel, for outputs that are a share of the label."""
    matrix, f = np.array([[1.0, c], [c, 1.0]]), share * np.array(label)
    return f @ np.linalg.solve(matrix, f)


def closing(n, clock=None, *, signs=1, size=None):
    """Density of h at zero times the mean of |z| tau over one or both signs of z."""
    clock = n**-0.5 if clock is None else clock
    reach = 2 * DENSITY * quad(lambda z: z * math.exp(-(z**2) / 2), 0, math.inf)[0]
    reach = reach if size is None else size
    return DENSITY * clock * signs / 2 * reach


def drift(psi, *, up=True, clock=1.0):
    """Flux through h_1 = 0, weighted by z^2, for h_2 > 0 and h_2 < 0; tau times root of n."""
    k, total = math.cos(psi), 0.0
    for z in (1.0, -1.0):
        for other in (1.0, 0.0):
            power = DENSITY * quad(lambda s: s**3 * math.exp(-(s**2) / 2), 0, math.inf)[0]
            speed = k * other * up if z > 0 else -(1 + k * other)
            total += 0.5 * DENSITY * power * speed  # half of the neurons have h_2 > 0
    return total * clock


ANSWERS = {
    "apart": lambda psi: eigenvalue(psi, 0),
    "halfway": lambda c: distance(c, 0.5),
    "closed": closing,
    "steps": lambda lam, eta: -math.log1p(-eta * lam) / eta,
    "even": 2.0,
    "rectangle": (4 * 9) ** -0.5,
    "together": lambda psi: drift(psi, clock=1 / eigenvalue(psi, 1)),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "apart": [
        lambda psi: eigenvalue(psi, 1),
        lambda psi: difference(psi, first=False),
        lambda psi: difference(psi, inputs=False),
        lambda psi: psi / math.tau,
    ],
    "halfway": [
        lambda c: distance(c, 1.0),
        lambda c: distance(c, 1.0) / 2,
        lambda c: distance(c, 0.5, (1.0, 1.0)),
        lambda c: math.sqrt(distance(c, 0.5)),
    ],
    "closed": [
        lambda n: closing(n, signs=2),
        lambda n: closing(n, size=1.0),
        lambda n: closing(n, 1 / n),
    ],
    "steps": [
        lambda lam, eta: lam,
        lambda lam, eta: -math.log1p(-eta * lam),
        lambda lam, eta: math.log1p(eta * lam) / eta,
    ],
    "even": [2.0**2, 1.0, 8.0],
    "rectangle": [1 / (4 * 9), 4**-0.5, 9**-0.5, 36**0.5],
    "together": [
        lambda psi: drift(psi),
        lambda psi: -drift(psi, clock=1 / eigenvalue(psi, 1)),
        lambda psi: drift(psi, clock=1 / eigenvalue(psi, 0)),
        lambda psi: drift(psi, up=False, clock=1 / eigenvalue(psi, 1)),
    ],
}
