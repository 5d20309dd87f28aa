"""Temporal difference learning: a learner that takes its own next guess for the truth.

An episode shows features psi_0 ... psi_T and rewards r_0 ... r_{T-1}. The value of a state is the
sum of all later rewards, each discounted by gamma per time, and a linear learner predicts it by
psi.w. It has no label. It moves its prediction towards the reward plus its own prediction one time
later: Delta_t = r_t + gamma psi_{t+1}.w - psi_t.w, and w grows by step times the mean over a batch
of episodes of sum_t psi_t Delta_t. Chapter: ``chapters/temporal_difference.md``.

    Sigma      covariance of a feature at two times of an episode; features of different modes
               are independent Gaussians of mean zero
    fixed point  weights at which the mean update vanishes; d is the distance of w from them
    rho        TD error at the fixed point: what stays uncertain when all is learned
    loss       sum over the T updates of <(psi_t.w - psi_t.fixed point)^2>, without a factor 1/2

A ``RewardProcess`` is the same learner in a world of finitely many states, with any features. Its
second moments close exactly too: over its own trajectories, or over Gaussian ones of equal moments.

Source: Bordelon, Masset, Kuo & Pehlevan (2023), arXiv:2307.04841, for the Gaussian equivalence and
the leading order; Sutton (1988) for the rule; Tsitsiklis & Van Roy (1997) for its fixed point.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import leading_axes_fit, require
from toymodels.numerics.spectra import symmetric_root

Number = float | int


@door
@dataclass(frozen=True)
class TemporalDifference:
    """Independent Gaussian features, a reward that is linear in them, and a learner.

    Leading axes are independent problems. Raises ValueError on covariances that are none, on
    episodes of a single time, on a discount outside of 0 to 1, and on rates that are not positive.
    """

    covariance: Float[Tensor, "*#batch mode time time"]  # Sigma, at times 0 to T
    reward: Float[Tensor, "*#batch mode"]  # weights of the reward r_t = psi_t.reward
    discount: Number | Float[Tensor, "*#batch"]  # gamma
    step: Number | Float[Tensor, "*#batch"]  # eta, per update, of a sum over the T times
    batch_size: Number | Float[Tensor, "*#batch"]  # B, episodes per update
    reward_noise: Number | Float[Tensor, "*#batch"] = 0.0  # variance of a reward, given the state

    def __post_init__(self):
        _check_covariance(self.covariance)
        require("reward", self.reward, self.reward == self.reward, "finite", "it is to be learned")
        _check_learner(self, self.covariance)
        noise = torch.as_tensor(self.reward_noise)
        require("reward_noise", noise, noise >= 0, "finite and not negative", "it is a variance")
        with leading_axes_fit():
            _parts(self)


@door
@dataclass(frozen=True)
class RewardProcess:
    """A learner in a world of finitely many states, which it sees through features.

    Raises ValueError on rows that are no probabilities, and as ``TemporalDifference`` does.
    """

    transition: Float[Tensor, "*#batch state state"]  # from row to column: the policy is in it
    features: Float[Tensor, "*#batch state mode"]  # psi(s)
    reward: Float[Tensor, "*#batch state"]  # r(s), earned in s
    discount: Number | Float[Tensor, "*#batch"]
    step: Number | Float[Tensor, "*#batch"]
    batch_size: Number | Float[Tensor, "*#batch"]
    horizon: int  # T, updates in an episode
    start: Float[Tensor, "*#batch state"] | None = None  # where episodes begin; None is anywhere

    def __post_init__(self):
        for name in ("features", "reward"):
            x = getattr(self, name)
            require(name, x, x == x, "finite", "states must be told apart and paid")
        for name in ("transition", "start"):
            _check_probabilities(name, getattr(self, name))
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, got {self.horizon}: nothing is updated")
        _check_learner(self, self.transition)
        with leading_axes_fit():
            _world(self)


@dataclass(frozen=True)
class Descent:
    """How the predicted values approach the fixed point. Theory and experiment both return this.

    An experiment has one more axis before the steps: (*batch, member, time), a member being a
    learner with episodes of its own.
    """

    step: Int[Tensor, " time"]  # updates so far, from 0
    loss: Float[Tensor, "*batch time"]  # sum over T times of <(psi.w - psi.fixed point)^2>
    weight: Float[Tensor, "*batch mode"]  # after the last update; the mean, in theory


# Gaussian features, mode by mode


@door(origin="theory")
def fixed_point(model: TemporalDifference) -> Float[Tensor, "*batch mode"]:
    """Weights at which the mean update vanishes: sum_t Sigma[t,t] reward / A.

    A = sum_t (Sigma[t,t] - gamma Sigma[t,t+1]). Raises ValueError where A vanishes.
    """
    cov, reward, gamma, *_ = _parts(model)
    return _in_dtype(_power(cov) * reward / _pull(cov, gamma), model.covariance)


@door(origin="theory")
def theory(
    model: TemporalDifference,
    steps: int,
    *,
    schedule: Float[Tensor, " update"] | None = None,
    start: Float[Tensor, "*#batch mode"] | None = None,
    leading: bool = False,
) -> Descent:
    """The mean loss after 0 to ``steps`` updates, exact for any number of modes.

    With d the distance from the fixed point, m = <d> and e = <d^2> in each mode,
    m' = (1 - eta A) m and e' = (1 - eta A)^2 e + (eta^2 / B) V, where V, the variance of the update
    of one episode, is linear in e and m of all modes. ``schedule`` multiplies the step, update by
    update; ``start`` are the first weights, zero if not given. ``leading`` keeps only the pairing
    that dominates when many modes matter, as the paper does. Solved in float64.
    Raises ValueError on a schedule that does not fit.
    """
    steps, schedule = draws.whole_number(steps, "steps"), _schedule(schedule, steps)
    cov, reward, gamma, eta, B, noise = _parts(model)
    target, pull = _power(cov) * reward / _pull(cov, gamma), _pull(cov, gamma)
    spread, drift, source = _update_variance(cov, reward, gamma, noise, leading)
    m = _begun("start", start, reward) - target
    e, loss = m**2, [(_power(cov) * m**2).sum(-1)]
    for factor in schedule.tolist():
        rate = factor * eta[..., None]
        keep = 1 - rate * pull
        variance = _times(spread, e) + _times(drift, m) + source
        e, m = keep**2 * e + rate**2 / B[..., None] * variance, keep * m
        loss.append((_power(cov) * e).sum(-1))
    return _record(steps, torch.stack(loss, -1), target + m, model.covariance)


@door(origin="theory")
def plateau(model: TemporalDifference) -> Float[Tensor, "*batch"]:
    """The loss at which a constant step comes to rest; infinite where it does not.

    The fixed point of the equation for e in ``theory``, a linear system of the modes.
    """
    cov, reward, gamma, eta, B, noise = _parts(model)
    spread, _, source = _update_variance(cov, reward, gamma, noise, False)
    share = (eta**2 / B)[..., None]
    growth = torch.diag_embed((1 - eta[..., None] * _pull(cov, gamma)) ** 2)
    growth = growth + share[..., None] * spread
    rest, stable = _rest(growth, share * source)
    loss = torch.where(stable, (_power(cov) * rest).sum(-1), torch.inf)
    return _in_dtype(loss, model.covariance)


@door(origin="experiment")
def experiment(
    model: TemporalDifference,
    steps: int,
    *,
    seed: int,
    members: int,
    schedule: Float[Tensor, " update"] | None = None,
    start: Float[Tensor, "*#batch mode"] | None = None,
    potential: Float[Tensor, "*#batch mode"] | None = None,
) -> Descent:
    """Let ``members`` learners update on fresh Gaussian episodes; ``theory`` is not used.

    Problems of the model's batch see the same episodes (common random numbers), as far as their
    batch sizes go. ``schedule`` and ``start`` as in ``theory``. A ``potential`` u shapes the
    reward: it pays gamma psi_{t+1}.u - psi_t.u on top, which takes u off the fixed point. Raises
    ValueError on no members, on batch sizes that are not whole, and on weights that overflow.
    """
    schedule, members = _schedule(schedule, draws.whole_number(steps, "steps")), _some(members)
    cov, reward, gamma, eta, B, noise = _parts(model, model.covariance.dtype)
    u = _begun("potential", potential, reward)
    share, most = _shares(B)
    root, stream = symmetric_root(model.covariance), draws.Stream(seed, members, device=cov.device)
    target = (fixed_point(model).expand_as(reward) - u)[..., None, :]
    power = _power(cov)[..., None, :]
    modes, times = cov.shape[-3], cov.shape[-1]
    w = _begun("start", start, reward)[..., None, :].repeat_interleave(members, -2)
    loss = [(power * (w - target) ** 2).sum(-1)]
    for n, factor in enumerate(schedule.tolist()):
        z = stream.normal("features", n, (most, modes, times), dtype=cov.dtype)
        psi = torch.einsum("...kts,mbks->...mbtk", root, z)  # (*batch, member, episode, time, mode)
        value = torch.einsum("...mbtk,...mk->...mbt", psi, w + u[..., None, :])
        paid = torch.einsum("...mbtk,...k->...mbt", psi[..., :-1, :], reward)
        if (noise > 0).any():
            extra = stream.normal("rewards", n, (most, times - 1), dtype=cov.dtype)
            paid = paid + noise.sqrt()[..., None, None, None] * extra
        w = w + factor * eta[..., None, None] * _update(psi, value, paid, gamma, share)
        loss.append((power * (w - target) ** 2).sum(-1))
    return _seen(loss, w)


def _update(psi: Tensor, value: Tensor, paid: Tensor, gamma: Tensor, share: Tensor) -> Tensor:
    """Mean over the batch of sum_t psi_t Delta_t, (*batch, member, mode)."""
    Delta = paid + gamma[..., None, None, None] * value[..., 1:] - value[..., :-1]
    Delta = Delta * share[..., None, :, None]
    return torch.einsum("...mbtk,...mbt->...mk", psi[..., :-1, :], Delta)


# A world of finitely many states


@door(origin="theory")
def true_value(process: RewardProcess) -> Float[Tensor, "*batch state"]:
    """Discounted sum of all later rewards, by Bellman's equation V = r + gamma P V.

    Raises ValueError for a discount of 1, where the sum does not end.
    """
    P, _, r, gamma, *_ = _world(process)
    require("discount", gamma, gamma < 1, "below 1", "else the sum of all rewards has no end")
    one = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    value = torch.linalg.solve(one - gamma[..., None, None] * P, r[..., None])[..., 0]
    return _in_dtype(value, process.transition)


@door(origin="theory")
def process_fixed_point(process: RewardProcess) -> Float[Tensor, "*batch mode"]:
    """Weights at which the mean update vanishes: A w = sum_t <psi_t r_t>.

    A = sum_t <psi_t (psi_t - gamma psi_{t+1})^T>. Raises ValueError on a singular A: the episodes
    then do not tell all weights apart.
    """
    A, earned, _ = _drift(process)
    return _in_dtype(_solved(A, earned), process.transition)


@door(origin="theory")
def process_theory(
    process: RewardProcess,
    steps: int,
    *,
    gaussian: bool = False,
    schedule: Float[Tensor, " update"] | None = None,
) -> Descent:
    """The mean loss after 0 to ``steps`` updates, exact for any world and any features.

    With m = <d> and M = <d d^T>: M' = (1 - eta A) M (1 - eta A)^T + (eta^2 / B) V(M, m). The
    variance V of the update of one episode is an average over two transitions of one trajectory;
    ``gaussian`` takes Gaussian features of the same first and second moments instead.
    """
    steps, schedule = draws.whole_number(steps, "steps"), _schedule(schedule, steps)
    A, earned, G = _drift(process)
    *_, eta, B = _world(process)
    target, variance = _solved(A, earned), _process_variance(process, gaussian)
    m = -target
    M, loss = m[..., None] * m[..., None, :], []
    one = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    for factor in [*schedule.tolist(), 0.0]:
        loss.append((G * M).sum((-2, -1)))
        rate = (factor * eta)[..., None, None]
        keep = one - rate * A
        spread = torch.einsum("...abij,...ij->...ab", variance, _bordered(m, M))
        M = keep @ M @ keep.mT + rate**2 / B[..., None, None] * spread
        m = (keep @ m[..., None])[..., 0]
    return _record(steps, torch.stack(loss, -1), target + m, process.transition)


@door(origin="theory")
def process_plateau(process: RewardProcess, *, gaussian: bool = False) -> Float[Tensor, "*batch"]:
    """The loss at which a constant step comes to rest; infinite where it does not."""
    A, _, G = _drift(process)
    *_, eta, B = _world(process)
    variance = _process_variance(process, gaussian)
    K = A.shape[-1]
    keep = torch.eye(K, dtype=A.dtype, device=A.device) - eta[..., None, None] * A
    growth = torch.einsum("...ai,...bj->...abij", keep, keep).flatten(-4, -3).flatten(-2)
    share = (eta**2 / B)[..., None]
    growth = growth + share[..., None] * variance[..., 1:, 1:].flatten(-4, -3).flatten(-2)
    rest, stable = _rest(growth, share * variance[..., 0, 0].flatten(-2))
    loss = torch.where(stable, (G.flatten(-2) * rest).sum(-1), torch.inf)
    return _in_dtype(loss, process.transition)


@door(origin="experiment")
def process_experiment(
    process: RewardProcess,
    steps: int,
    *,
    seed: int,
    members: int,
    schedule: Float[Tensor, " update"] | None = None,
) -> Descent:
    """Let ``members`` learners walk and update; nothing but their walks is used.

    Problems of the batch share the random numbers of their walks. Refuses as ``experiment`` does.
    """
    schedule, members = _schedule(schedule, draws.whole_number(steps, "steps")), _some(members)
    P, psi, r, gamma, first, eta, B = _world(process, process.transition.dtype)
    share, most = _shares(B)
    stream = draws.Stream(seed, members, device=P.device)
    target = process_fixed_point(process).expand(*psi.shape[:-2], psi.shape[-1])[..., None, :]
    visits = _occupation(P, first, process.horizon).sum(-2)
    G = torch.einsum("...s,...sa,...sb->...ab", visits, psi, psi)[..., None, :, :]
    w = torch.zeros(*psi.shape[:-2], members, psi.shape[-1], dtype=P.dtype, device=P.device)
    loss = [_quadratic(G, w - target)]
    for n, factor in enumerate(schedule.tolist()):
        u = stream.uniform("walks", n, (most, process.horizon + 1), dtype=P.dtype)
        state = _walks(P, first, u)  # (*batch, member, episode, time)
        seen = _lookup(psi, state)  # (*batch, member, episode, time, mode)
        value = (seen * w[..., None, None, :]).sum(-1)
        paid = _lookup(r[..., None], state[..., :-1])[..., 0]
        w = w + factor * eta[..., None, None] * _update(seen, value, paid, gamma, share)
        loss.append(_quadratic(G, w - target))
    return _seen(loss, w)


# Worlds and features


@door
def fading_memory(
    eigenvalue: Float[Tensor, "*#batch mode"], memory: Float[Tensor, "*#batch mode"], horizon: int
) -> Float[Tensor, "*batch mode time time"]:
    """Covariances Sigma[t,s] = eigenvalue memory^|t-s| for t, s = 0 to ``horizon``.

    Raises ValueError on a memory outside of -1 to 1.
    """
    require("memory", memory, memory.abs() <= 1, "between -1 and 1", "it is a correlation")
    require("eigenvalue", eigenvalue, eigenvalue >= 0, "not negative", "it is a variance")
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}: there is no next state")
    time = torch.arange(horizon + 1, device=memory.device)
    gap = (time[:, None] - time).abs()
    return eigenvalue[..., None, None] * memory[..., None, None] ** gap


@door
def ring(states: int, right: float | int = 0.5) -> Float[Tensor, "state state"]:
    """A walk on a circle of places: one step to the right with probability ``right``, else left."""
    if states < 3:
        raise ValueError(f"states must be at least 3, got {states}: there is no circle")
    if not 0 <= right <= 1:
        raise ValueError(f"right must be between 0 and 1, got {right}: it is a probability")
    one = torch.eye(states, dtype=torch.float64)
    return right * one.roll(1, 1) + (1 - right) * one.roll(-1, 1)


@door
def grid(side: int, towards: float | int = 0.0) -> Float[Tensor, "state state"]:
    """A walk in a square room: to one of four neighbours, or in place where a wall is.

    With the probability ``towards`` the walker ignores chance and steps towards the middle, along
    the longer way first; in the middle it stays. State side * row + column.
    """
    if side < 2:
        raise ValueError(f"side must be at least 2, got {side}: there is nowhere to go")
    if not 0 <= towards <= 1:
        raise ValueError(f"towards must be between 0 and 1, got {towards}: it is a probability")
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side))  # (state, 2)
    moves = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
    by_chance = (at[:, None] + moves).clamp(0, side - 1)  # (state, move, 2)
    away = (side - 1) // 2 - at
    longer = (away.abs()[:, :1] >= away.abs()[:, 1:]).long()
    home = at + away.sign() * torch.cat([longer, 1 - longer], -1)
    index = torch.tensor([side, 1])
    P = torch.zeros(side * side, side * side, dtype=torch.float64)
    row = torch.arange(side * side)
    for move in range(4):
        P[row, by_chance[:, move] @ index] += (1 - towards) / 4
    P[row, home @ index] += towards
    return P


@door
def place_cells(
    place: Float[Tensor, "state coordinate"],
    center: Float[Tensor, "cell coordinate"],
    width: float | int,
    *,
    period: float | int | None = None,
) -> Float[Tensor, "state cell"]:
    """Activity exp(-distance^2 / 2 width^2) of cells that like to be near their center.

    With a ``period`` every coordinate is a circle of that length.
    Raises ValueError on a width or a period that is not positive.
    """
    for name, value in (("width", width), ("period", 1.0 if period is None else period)):
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value:g}: it is a length")
    apart = (place[:, None] - center).abs()
    if period is not None:
        apart = torch.minimum(apart % period, -apart % period)
    return torch.exp(-(apart**2).sum(-1) / (2 * width**2))


# How the update of one episode scatters


def _update_variance(cov, reward, gamma, noise, leading) -> tuple[Tensor, Tensor, Tensor]:
    """V = spread e + drift m + source, by Wick's theorem; for independent modes.

    The TD error is psi_t.(a - d) + gamma psi_{t+1}.(b + d) with b the fixed point, a = reward - b.
    """
    b = _power(cov) * reward / _pull(cov, gamma)
    a = reward - b
    g = gamma[..., None, None, None]
    now, late = cov[..., :-1, :-1], g * cov[..., :-1, 1:]  # <psi_t psi_s>, gamma <psi_t psi_{s+1}>
    next_ = g**2 * cov[..., 1:, 1:]
    both = late + late.mT
    flat = [x.flatten(-2) for x in (now, now, both, next_)]
    rr, rw, ww = (flat[0] @ x.mT for x in flat[1:])  # sum_ts Sigma_k(t,s) ..._l
    if not leading:  # the pairing of each feature with the other's error
        rr = rr + torch.diag_embed((now * now.mT).sum((-2, -1)))
        rw = rw + torch.diag_embed(2 * (now * late.mT).sum((-2, -1)))
        ww = ww + torch.diag_embed((late * late.mT).sum((-2, -1)))
    spread = rr - rw + ww
    drift = -2 * rr * a[..., None, :] + rw * (a - b)[..., None, :] + 2 * ww * b[..., None, :]
    source = _times(rr, a**2) + _times(rw, a * b) + _times(ww, b**2)
    return spread, drift, source + noise[..., None] * _power(cov)


def _process_variance(process: RewardProcess, gaussian: bool) -> Tensor:
    """V[a,b] = sum_ij N[a,b,i,j] <u_i u_j> with u = (1, d); N as (*batch, mode, mode, 1+mode, ...).

    The TD error of a transition is y.u, y = (rho, gamma psi(s') - psi(s)).
    """
    return _gaussian_variance(process) if gaussian else _walked_variance(process)


def _walked_variance(process: RewardProcess) -> Tensor:
    """Over two transitions of the same trajectory; the later one is averaged backwards in time."""
    P, psi, r, gamma, first, *_ = _world(process)
    A, earned, _ = _drift(process)
    b = _solved(A, earned)
    value, g = (psi @ b[..., None])[..., 0], gamma[..., None, None]
    rho = r[..., :, None] + g * value[..., None, :] - value[..., :, None]
    move = g[..., None] * psi[..., None, :, :] - psi[..., :, None, :]
    y = torch.cat([rho[..., None], move], -1)  # (*batch, state, next, 1 + mode)
    occupied = _occupation(P, first, process.horizon)  # (*batch, time, state)
    same = torch.einsum("...st,...sti,...stj->...sij", P, y, y)
    N = torch.einsum("...s,...sa,...sb,...sij->...abij", occupied.sum(-2), psi, psi, same)
    c = psi[..., :, None] * torch.einsum("...st,...stj->...sj", P, y)[..., None, :]
    later = torch.zeros_like(c)  # sum of psi y over all later updates, from the next state
    for t in range(process.horizon - 1, -1, -1):
        now = torch.einsum("...s,...sp,...sa,...spi->...pai", occupied[..., t, :], P, psi, y)
        pair = torch.einsum("...pai,...pbj->...abij", now, later)
        N = N + pair + pair.transpose(-4, -3).transpose(-2, -1)
        later = c + torch.einsum("...sp,...pbj->...sbj", P, later)
    mean = torch.einsum("...s,...saj->...aj", occupied.sum(-2), c)
    return N - torch.einsum("...ai,...bj->...abij", mean, mean)


def _gaussian_variance(process: RewardProcess) -> Tensor:
    """By Wick's theorem, for Gaussian features and rewards of the same first and second moments."""
    P, psi, r, gamma, first, *_ = _world(process)
    A, earned, _ = _drift(process)
    chi = torch.cat([r[..., None], psi], -1)
    mean, X = _moments(P, chi, _occupation(P, first, process.horizon + 1))  # <chi_t chi_s>
    now, late = _error_of(_solved(A, earned), gamma)  # y_t = now chi_t + late chi_{t+1}
    Xy = X[..., :, :-1, :, :] @ now.mT + X[..., :, 1:, :, :] @ late.mT  # <chi_t y_s>
    yy = now @ Xy[..., :-1, :, :, :] + late @ Xy[..., 1:, :, :, :]
    crossed, psis = Xy[..., :-1, :, 1:, :], X[..., :-1, :-1, 1:, 1:]  # <psi_t y_s>, <psi_t psi_s>
    N = torch.einsum("...tsab,...tsij->...abij", psis, yy)
    N = N + torch.einsum("...tsaj,...stbi->...abij", crossed, crossed)
    error = (
        mean[..., :-1, :] @ now[..., 0, 0, :, :].mT + mean[..., 1:, :] @ late[..., 0, 0, :, :].mT
    )
    product = torch.einsum("...ta,...ti->...ai", mean[..., :-1, 1:], error)
    return N - 2 * torch.einsum("...ai,...bj->...abij", product, product)


def _error_of(b: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices that make y = (rho, gamma psi' - psi) of (r, psi) and of (r', psi')."""
    modes = torch.diag_embed(torch.ones_like(b))
    guess = torch.cat([b[..., None, :], modes], -2)  # (value, psi) of psi
    late = torch.cat([torch.zeros_like(guess[..., :1]), guess], -1)
    pay = torch.zeros_like(late)
    pay[..., 0, 0] = 1
    apart = [..., None, None, slice(None), slice(None)]
    return (pay - late)[tuple(apart)], (gamma[..., None, None] * late)[tuple(apart)]


# What a world does


def _drift(process: RewardProcess) -> tuple[Tensor, Tensor, Tensor]:
    """A, sum_t <psi_t r_t> and G = sum_t <psi_t psi_t^T>."""
    P, psi, r, gamma, first, *_ = _world(process)
    visits = _occupation(P, first, process.horizon).sum(-2)
    seen = visits[..., None] * psi
    G = seen.mT @ psi
    return (
        G - gamma[..., None, None] * seen.mT @ P @ psi,
        (seen.mT @ r[..., None])[..., 0],
        G,
    )


def _occupation(P: Tensor, first: Tensor, times: int) -> Tensor:
    """Probability of every state at times 0 to ``times`` - 1, (*batch, time, state)."""
    at = [first]
    for _ in range(times - 1):
        at.append((at[-1][..., None, :] @ P)[..., 0, :])
    return torch.stack(at, -2)


def _moments(P: Tensor, chi: Tensor, occupied: Tensor) -> tuple[Tensor, Tensor]:
    """Means (*batch, time, entry) and raw second moments (*batch, time, time, entry, entry)."""
    ahead = [chi]
    for _ in range(occupied.shape[-2] - 1):
        ahead.append(P @ ahead[-1])  # mean of chi that much later, given the state
    gaps = torch.einsum("...ts,...sa,...nsb->...tnab", occupied, chi, torch.stack(ahead, -3))
    time = torch.arange(len(ahead), device=P.device)
    gap = time - time[:, None]
    later = gaps[..., time[:, None], gap.abs(), :, :]  # right where the second time is not earlier
    earlier = later.transpose(-4, -3).mT
    return occupied @ chi, torch.where((gap >= 0)[..., None, None], later, earlier)


def _walks(P: Tensor, first: Tensor, u: Tensor) -> Tensor:
    """States at all times, (*batch, member, episode, time), from uniform numbers in [0, 1)."""
    rows, begin = P.cumsum(-1), first.cumsum(-1)[..., None, None, :]
    last = P.shape[-1] - 1  # should rounding leave the sum of a row below 1
    state = [(begin <= u[..., :1]).sum(-1).clamp(max=last)]
    for time in range(1, u.shape[-1]):
        reached = _lookup(rows, state[-1]) <= u[..., time, None]
        state.append(reached.sum(-1).clamp(max=last))
    return torch.stack(state, -1)


def _lookup(table: Tensor, state: Tensor) -> Tensor:
    """Rows of a table (*batch, state, entry) at states (*batch, member, ...)."""
    batch = table.shape[:-2]
    problem = torch.arange(batch.numel(), device=table.device).reshape(batch)
    base = table.shape[-2] * problem[(..., *[None] * (state.ndim - len(batch)))]
    return table.flatten(0, -2)[base + state]


# The parts of a model, in one precision


def _parts(model: TemporalDifference, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Covariance, reward (*batch, mode), and discount, step, batch size, noise (*batch)."""
    cov, reward = model.covariance.to(dtype), model.reward.to(dtype)
    names = ("discount", "step", "batch_size", "reward_noise")
    numbers = [torch.as_tensor(getattr(model, n), dtype=dtype, device=cov.device) for n in names]
    shapes = [cov.shape[:-3], reward.shape[:-1], *(x.shape for x in numbers)]
    batch = torch.broadcast_shapes(*shapes)
    return [cov, reward.expand(*batch, reward.shape[-1]), *(x.expand(batch) for x in numbers)]


def _world(process: RewardProcess, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Transition, features, reward, discount, start, step and batch size, of one batch."""
    P = process.transition
    start = torch.full_like(P[..., 0], 1 / P.shape[-1]) if process.start is None else process.start
    tables = [x.to(dtype) for x in (P, process.features, process.reward, start)]
    names = ("discount", "step", "batch_size")
    numbers = [torch.as_tensor(getattr(process, n), dtype=dtype, device=P.device) for n in names]
    lead = [tables[0].shape[:-2], tables[1].shape[:-2], tables[2].shape[:-1], tables[3].shape[:-1]]
    batch = torch.broadcast_shapes(*lead, *(x.shape for x in numbers))
    sizes = [x.shape[len(b) :] for x, b in zip(tables, lead, strict=True)]
    P, psi, r, start = (x.expand(*batch, *n) for x, n in zip(tables, sizes, strict=True))
    gamma, eta, B = (x.expand(batch) for x in numbers)
    return [P, psi, r, gamma, start, eta, B]


def _power(cov: Tensor) -> Tensor:
    """sum_t Sigma[t,t] over the T times of an update, (*batch, mode)."""
    return cov[..., :-1, :-1].diagonal(dim1=-2, dim2=-1).sum(-1)


def _pull(cov: Tensor, gamma: Tensor) -> Tensor:
    """A = sum_t (Sigma[t,t] - gamma Sigma[t,t+1]), (*batch, mode)."""
    A = _power(cov) - gamma[..., None] * cov.diagonal(1, dim1=-2, dim2=-1).sum(-1)
    if not (A != 0).all():
        raise ValueError(
            "covariance must pull every mode somewhere, got sum_t (Sigma[t,t] - gamma "
            "Sigma[t,t+1]) = 0: there is no fixed point"
        )
    return A


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None])[..., 0]


def _bordered(m: Tensor, M: Tensor) -> Tensor:
    """<u u^T> of u = (1, d)."""
    top = torch.cat([torch.ones_like(m[..., :1]), m], -1)[..., None, :]
    return torch.cat([top, torch.cat([m[..., None], M], -1)], -2)


def _quadratic(G: Tensor, d: Tensor) -> Tensor:
    return (_times(G, d) * d).sum(-1)


def _rest(growth: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """The x = growth x + source, and whether iteration would reach it."""
    stable = torch.linalg.eigvals(growth).abs().amax(-1) < 1
    one = torch.eye(growth.shape[-1], dtype=growth.dtype, device=growth.device)
    growth = torch.where(stable[..., None, None], growth, 0.0)
    return torch.linalg.solve(one - growth, source[..., None])[..., 0], stable


def _solved(A: Tensor, earned: Tensor) -> Tensor:
    w, failed = torch.linalg.solve_ex(A, earned[..., None])
    regular = torch.linalg.cond(A) < 1 / torch.finfo(A.dtype).eps
    if failed.any() or not regular.all():
        raise ValueError("features must be told apart by the episodes, got a singular mean update")
    return w[..., 0]


def _shares(B: Tensor) -> tuple[Tensor, int]:
    """1 / B for the first B episodes of the largest batch, 0 for the rest, (*batch, episode)."""
    whole = (B.round() == B) & (B <= 1e6)
    require("batch_size", B, whole, "a whole number in an experiment, up to 1e6", "episodes are")
    most = int(B.max())
    return (torch.arange(most, device=B.device) < B[..., None]) / B[..., None], most


def _some(members: int) -> int:
    draws.whole_number(members, "members", 1, "there is nobody to learn")
    return members


def _begun(name: str, weights: Tensor | None, reward: Tensor) -> Tensor:
    """First weights, or those of a potential, for every problem; zero if not given."""
    if weights is None:
        return torch.zeros_like(reward)
    require(name, weights, weights == weights, "finite", "it is where learning begins")
    try:
        return weights.to(reward).expand_as(reward)
    except RuntimeError as problem:
        raise ValueError(
            f"{name} must have shape {tuple(reward.shape)}, got {tuple(weights.shape)}"
        ) from problem


def _schedule(schedule: Tensor | None, steps: int) -> Tensor:
    """Factors of the step, one for each update."""
    if schedule is None:
        return torch.ones(steps, dtype=torch.float64)
    if schedule.shape != (steps,):
        raise ValueError(
            f"schedule must have one factor for each of {steps} updates, got {len(schedule)}"
        )
    require(
        "schedule", schedule, schedule >= 0, "finite and not negative", "it multiplies the step"
    )
    return schedule


def _record(steps: int, loss: Tensor, weight: Tensor, like: Tensor) -> Descent:
    loss = loss.nan_to_num(nan=torch.inf, posinf=torch.inf)  # a mode that overflowed, times zero
    weight = weight.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
    return Descent(torch.arange(steps + 1), _in_dtype(loss, like), _in_dtype(weight, like))


def _seen(loss: list[Tensor], weight: Tensor) -> Descent:
    loss = torch.stack(loss, -1)
    if not loss.isfinite().all():
        raise ValueError("step must be smaller, or the batch larger: weights have overflowed")
    return Descent(torch.arange(loss.shape[-1]), loss, weight)


def _in_dtype(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype)


# What is refused


def _check_covariance(cov: Tensor) -> None:
    require("covariance", cov, cov == cov, "finite", "it is a mean square")
    if cov.shape[-1] != cov.shape[-2] or cov.shape[-1] < 2:
        raise ValueError(
            "covariance must be square with the times 0 to T >= 1 of an episode, "
            f"got {tuple(cov.shape[-2:])}"
        )
    size = cov.abs().amax((-2, -1), keepdim=True)
    if ((cov - cov.mT).abs() > 1e-6 * size).any():
        raise ValueError("covariance must be symmetric: Sigma[t,s] = Sigma[s,t]")
    if (torch.linalg.eigvalsh(cov) < -1e-6 * size[..., 0]).any():
        raise ValueError("covariance must have no negative eigenvalue: no feature has such moments")


def _check_probabilities(name: str, rows: Tensor | None) -> None:
    if rows is None:
        return
    require(name, rows, rows >= 0, "not negative", "it is a probability")
    total = rows.sum(-1)
    require(name, total, (total - 1).abs() < 1e-6, "probabilities that add up to 1", "walkers stay")


def _check_learner(model: TemporalDifference | RewardProcess, like: Tensor) -> None:
    gamma, eta, B = (
        torch.as_tensor(getattr(model, name)) for name in ("discount", "step", "batch_size")
    )
    require("discount", gamma, (gamma >= 0) & (gamma <= 1), "between 0 and 1", "later counts less")
    require("step", eta, eta > 0, "positive", "else nothing is learned")
    require("batch_size", B, B >= 1, "at least 1", "an update needs an episode")
