"""Exercises of ``chapters/temporal_difference.md``, worked out a second time."""

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import brentq, minimize_scalar

GAMMA, SHARE = 0.9, np.exp(-0.2)
TIMES = np.arange(4000)


def height(rho, gamma=GAMMA):
    """Plateau of one mode up to a factor: news of the geometric value over the pull."""
    value = (gamma * rho) ** TIMES
    return (1 - rho**2) * value.sum() ** 2 / (1 - gamma * rho)


def argmax(function):
    return minimize_scalar(lambda x: -function(x), bounds=(0, 0.999), method="bounded",
                           options={"xatol": 1e-10}).x  # fmt: skip


def balance(variance, memory, reward, discount, step, batch, times):
    """Scatter and pull of independent modes, one after the other."""
    variance, memory, reward = (np.asarray(x) for x in (variance, memory, reward))
    worth = reward * sum((discount * memory) ** n for n in range(2000))
    news = ((discount * worth) ** 2 * variance * (1 - memory**2)).sum()
    rate = step * times * variance * (1 - discount * memory)
    scatter = step**2 / batch * times * variance * news
    return (times * variance * scatter / (2 * rate)).sum()


def exact_plateau(step, gamma=GAMMA, times=5, batch=1):
    """Ten modes with every pairing, summed in loops over pairs of times."""
    k = np.arange(1, 11)
    lam, rho, paid = k**-0.5, np.exp(-1 / np.linspace(8, 1, 10)), k**-0.5
    gap = np.abs(np.subtract.outer(np.arange(times + 1), np.arange(times + 1)))
    C = lam[:, None, None] * rho[:, None, None] ** gap
    target = paid / (1 - gamma * rho)

    def variance(e):
        rr = (paid - target) ** 2 + e
        rw, ww = (paid - target) * target - e, target**2 + e
        V = np.zeros(10)
        for t in range(times):
            for s in range(times):
                Q = (C[:, t, s] * rr + gamma * (C[:, t, s + 1] + C[:, t + 1, s]) * rw
                     + gamma**2 * C[:, t + 1, s + 1] * ww).sum()  # fmt: skip
                V += C[:, t, s] * Q + C[:, t, s] ** 2 * rr
                V += 2 * gamma * C[:, t, s] * C[:, s, t + 1] * rw
                V += gamma**2 * C[:, t, s + 1] * C[:, s, t + 1] * ww
        return V

    keep = (1 - step * times * lam * (1 - gamma * rho)) ** 2
    source = variance(np.zeros(10))
    spread = np.stack([variance(unit) - source for unit in np.eye(10)], 1)
    share = step**2 / batch
    e = np.linalg.solve(np.eye(10) - np.diag(keep) - share * spread, share * source)
    return times * lam @ e


def iterated(P, psi, r, discount):
    """Mean updates of a learner, until nothing moves."""
    P, psi, r = (x.numpy() for x in (P, psi, r))
    w = np.zeros(psi.shape[1])
    for _ in range(40000):
        value = psi @ w
        w = w + 0.05 * psi.T @ (r + discount * P @ value - value)
    return psi @ w


def best_fit(P, psi, r, discount):
    P, psi, r = (x.numpy() for x in (P, psi, r))
    value = sum(discount**n * np.linalg.matrix_power(P, n) @ r for n in range(500))
    return psi @ np.linalg.lstsq(psi, value, rcond=None)[0]


def least_residual(P, psi, r, discount):
    P, psi, r = (x.numpy() for x in (P, psi, r))
    return psi @ np.linalg.lstsq(psi - discount * P @ psi, r, rcond=None)[0]


def returns_scatter(rho, gamma=GAMMA):
    """Variance of sum gamma^t x_t given x_0, of unit stationary variance: a matrix of times."""
    n = 400
    step = np.array([[rho]])
    assert np.isclose(solve_discrete_lyapunov(step, np.array([[1 - rho**2]])), 1)
    t = np.arange(1, n)
    low = np.minimum.outer(t, t)
    cov = rho ** np.abs(np.subtract.outer(t, t)) * (1 - rho ** (2 * low))
    return gamma**t @ cov @ gamma**t


def calmer(rho, gamma=GAMMA, equal_speed=True):
    """Plateau of waiting less that of guessing."""
    news = gamma**2 * (1 - rho**2) / (1 - gamma * rho) ** 2
    pull = (1 - gamma * rho) ** (2 if equal_speed else 1)
    return returns_scatter(rho) - news / pull


ANSWERS = {
    "memory_worth": sum((GAMMA * SHARE) ** n for n in range(1000)),
    "worst_memory": argmax(height),
    "thermometer": balance,
    "half_as_high": brentq(lambda x: exact_plateau(x) - exact_plateau(0.1) / 2, 0.03, 0.1),
    "resting_values": iterated,
    "paid_halfway": [0.5**2, 1.0],
    "wait_or_guess": brentq(calmer, 0.3, 0.8),
}

# from the message and the question alone, in the order of the messages
MISTAKES = {
    "memory_worth": [1 / (1 - 0.9), sum(SHARE**n for n in range(1000)), 1 + 0.9 * SHARE],
    "worst_memory": [
        argmax(lambda p: (1 - p**2) / (1 - GAMMA * p) ** 2),
        0,
        argmax(lambda p: height(p) * (1 - GAMMA * p) ** 2),
    ],
    "thermometer": [
        lambda v, p, r, g, *rest: balance(v, p, r, g, *rest) * v.sum() / (v / (1 - g * p)).sum(),
        lambda v, p, r, g, *rest: balance(v, p, r * (1 - g * p), g, *rest),
        lambda v, p, r, g, *rest: sum(
            balance(v[k : k + 1], p[k : k + 1], r[k : k + 1], g, *rest) for k in range(len(v))
        ),
    ],
    "half_as_high": [0.1 / 2, 0.1 * 0.5**0.5, 0.1 / 4],
    "resting_values": [
        best_fit,
        lambda P, psi, r, discount: iterated(P.T, psi, r, discount),
        least_residual,
    ],
    "paid_halfway": [[0.25, 0.25], [0.5, 1], [0.25, 0.5]],
    "wait_or_guess": [
        brentq(lambda p: calmer(p, equal_speed=False), 0.7, 0.99),
        brentq(lambda p: (1 - GAMMA * p) ** 2 - (1 - GAMMA), 0, 1),
        1 - np.sqrt(1 - GAMMA**2),
    ],
}
