"""Population codes: neurons make the kernel, and the kernel says what few examples teach.

N neurons answer to a stimulus x with rates r(x). A readout w.r(x) is fitted to n labelled stimuli
by ridge regression. All that it can learn hangs on the overlap k(x, x') = r(x).r(x') / N, so that
the theory is the one of ``kernel_regression``, with a spectrum that the tuning of the neurons
decides. Chapter: ``chapters/population_codes.md``.

    r, g       response of a neuron; of a neuron on a ring, its tuning curve
    lam, phi   eigenvalue and eigenfunction of the overlap, over equally likely stimuli
    C(k)       share of the target's power in the k modes of largest eigenvalue
    E          error of the readout, without label noise, without a factor 1/2

Source: Bordelon & Pehlevan (2022), eLife 11, e78606, whose public code was read for the cells and
the recurrent network.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Num
from torch import Tensor

from toymodels import kernel_regression
from toymodels.kernel_regression import KernelRegression, LearningCurve
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import leading_axes_fit, require

Number = float | int
TAU = 0.08  # relaxation time of the recurrent network


@door
@dataclass(frozen=True)
class RingCode:
    """Neurons whose tuning curves are one curve, turned: as many neurons as angles.

    ``tuning`` is the response of the neuron that prefers the angle 0, at angles 2 pi i / S.
    Raises ValueError on fewer than 3 angles and on a curve that is zero or not finite.
    """

    tuning: Float[Tensor, "*batch angle"]  # g

    def __post_init__(self):
        _check_response("tuning", self.tuning, 1)
        if self.tuning.shape[-1] < 3:
            raise ValueError(f"tuning must have at least 3 angles, got {self.tuning.shape[-1]}")


@door
@dataclass(frozen=True)
class PopulationCode:
    """Responses of every neuron to every stimulus; all stimuli are equally likely.

    Raises ValueError on responses that are zero throughout or not finite.
    """

    response: Float[Tensor, "*batch stimulus neuron"]  # r

    def __post_init__(self):
        _check_response("response", self.response, 2)


@door
@dataclass(frozen=True)
class Readout:
    """A linear readout of a code that learns a target; leading axes are independent problems.

    Raises ValueError on a target that is not finite or does not fit the stimuli of the code, and
    on a ridge or noise that is negative or not finite.
    """

    code: RingCode | PopulationCode
    target: Float[Tensor, "*#batch stimulus"]  # y
    ridge: Number | Float[Tensor, "*#batch"] = 0.0  # added to the diagonal of the overlaps
    noise: Number | Float[Tensor, "*#batch"] = 0.0  # variance of the labels' noise

    def __post_init__(self):
        require("target", self.target, self.target == self.target, "finite", "it is to be learned")
        _check_stimuli(self.code, self.target)
        for name in ("ridge", "noise"):
            value = torch.as_tensor(getattr(self, name))
            require(name, value, value >= 0, "finite and not negative", "it is added to a variance")
        with leading_axes_fit():
            _batch(self)


# What the code alone decides


@door
def population(code: RingCode) -> PopulationCode:
    """The neurons of a ring: r_j(x_i) = g(x_i - x_j)."""
    S = code.tuning.shape[-1]
    place = torch.arange(S, device=code.tuning.device)
    return PopulationCode(code.tuning[..., (place[:, None] - place) % S])


@door
def overlap(code: RingCode | PopulationCode) -> Float[Tensor, "*batch stimulus stimulus"]:
    """The kernel k(x, x') = r(x).r(x') / N; a rotation of the neurons does not change it."""
    r = _response(code)
    return r @ r.mT / r.shape[-1]


@door
def spectrum(code: RingCode | PopulationCode) -> Float[Tensor, "*batch mode"]:
    """Eigenvalues of the overlap, largest first, one for every stimulus.

    They add up to the mean square response. On a ring they are |g_m|^2, with the Fourier
    coefficient g_m = <g(u) exp(-i m u)>, and all but those of m = 0 and S/2 come twice. What is
    below the rounding of the singular values of r, S eps of the first, is returned as 0.
    """
    root, _ = _modes(code)
    return _padded(root**2, _stimuli(code))


@door
def alignment(
    code: RingCode | PopulationCode, target: Float[Tensor, "*#batch stimulus"]
) -> Float[Tensor, "*batch mode"]:
    """C(k): share of the target's power in the first k modes, k = 1 to the number of stimuli.

    Modes of one eigenvalue share their power evenly, since any rotation of them is as good. Power
    that the code cannot see comes last. Raises ValueError on a target that is zero or does not fit.
    """
    require("target", target, target == target, "finite", "it has a power")
    _check_stimuli(code, target)
    power = _powers(_modes(code), target[..., None, :])[..., 0, :]
    total = power.sum(-1, keepdim=True)
    require("target", total, total > 0, "different from zero", "a share of nothing has no value")
    return power.cumsum(-1) / total


@door(origin="experiment")
def rotated(code: RingCode | PopulationCode, *, seed: int) -> PopulationCode:
    """The same code after a random rotation of the axes of its neurons; one for the whole batch."""
    r = _response(code)
    N = r.shape[-1]
    gaussian = draws.normal(seed, "rotation", 1, (N, N), dtype=r.dtype, device=r.device)[0]
    Q, R = torch.linalg.qr(gaussian)
    return PopulationCode(r @ (Q * R.diagonal().sign()))  # the signs make all rotations as likely


@door
def firing(code: RingCode | PopulationCode) -> Float[Tensor, "*batch"]:
    """Mean rate, once every neuron is lifted by a constant until its lowest response is 0.

    A readout that subtracts the mean response of each neuron does not see the lift.
    """
    r = _response(code)
    return (r - r.amin(-2, keepdim=True)).mean((-2, -1))


# Theory and experiment


@door(origin="theory")
def regression(model: Readout) -> KernelRegression:
    """The kernel regression that the readout is: one mode for each stimulus, largest first.

    Modes of one eigenvalue share the power of the target evenly; the signs of the coefficients,
    which no average depends on, are dropped. What the code cannot see has the eigenvalue 0.
    """
    root, functions = _modes(model.code)
    power = _powers((root, functions), model.target[..., None, :])[..., 0, :]
    lam = _padded(root**2, power.shape[-1])
    return KernelRegression(lam, power.sqrt(), ridge=model.ridge, noise=model.noise)


@door(origin="theory")
def theory(model: Readout, samples: Num[Tensor, " size"]) -> LearningCurve:
    """The learning curve of kernel regression, with the spectrum of the code.

    Gaussian features in place of the eigenfunctions; corrections are of order 1/n, and larger
    where few modes matter. Raises ValueError on samples that are not positive.
    """
    return kernel_regression.theory(regression(model), samples)


@door(origin="experiment")
def experiment(
    model: Readout, samples: Num[Tensor, " size"], *, seed: int, members: int, chunk: int = 50
) -> LearningCurve:
    """Train a readout of the neurons on ``members`` sets of each size; no spectrum enters the fit.

    Each example is one of the stimuli, drawn afresh, so that one may come twice. Synapses w solve
    ridge regression on the responses, and the error is the mean over all stimuli. Problems of the
    batch see the same stimuli and noise; sizes and members do not. ``mode_error`` is the power of
    the residual in the modes of the code.

    Raises ValueError on samples that are not positive whole numbers, on no members, and on
    overlaps that are singular, which a positive ridge mends.
    """
    for name, value in (("members", members), ("chunk", chunk)):
        draws.whole_number(value, name, 1, "there is nothing to fit")
    draws.whole_number(seed, "seed")
    sizes = _sizes(samples)
    response, modes, k = _response(model.code), _modes(model.code), overlap(model.code)
    found = []
    for n in sizes:
        parts = [
            _trained(model, response, modes, k, (n, seed, first, min(chunk, members - first)))
            for first in range(0, members, chunk)
        ]
        axes = [-1, -1, -2, -1, -2]  # of the members; then that of the sizes follows
        found.append([torch.cat(x, axis) for *x, axis in zip(*parts, axes, strict=True)])
    stacked = [torch.stack(x, axis) for *x, axis in zip(*found, axes, strict=True)]
    return LearningCurve(samples, *stacked)


def _trained(
    model: Readout,
    response: Tensor,
    modes: tuple[Tensor, Tensor],
    k: Tensor,
    draw: tuple[int, int, int, int],
) -> tuple[Tensor, ...]:
    """kappa, error, mode error, training error and learnability of some training sets."""
    n, seed, first, count = draw
    target, batch, S = model.target, _batch(model), model.target.shape[-1]
    ridge, noise = (_number(x, target)[..., None, None] for x in (model.ridge, model.noise))
    options = {"first": first, "dtype": target.dtype, "device": target.device}
    chosen = draws.integers(
        seed, f"stimuli {n}", count, (n,), high=S, first=first, device=target.device
    )
    label_noise = draws.normal(seed, f"noise {n}", count, (n,), **options)
    label = target[..., chosen] + noise.sqrt() * label_noise
    pair = k[..., chosen[:, :, None], chosen[:, None, :]]  # (*batch, draw, n, n)
    inverse, alpha = _resolve(pair, label, ridge[..., None])
    place = chosen.expand(alpha.shape)
    # the synapses are a sum over the stimuli that were seen
    synapse = alpha.new_zeros(*alpha.shape[:-1], S).scatter_add(-1, place, alpha) @ response
    residual = target[..., None, :] - synapse @ response.mT / response.shape[-1]
    root, functions = modes
    phi = functions[..., chosen, :]  # (*batch, draw, n, mode)
    learned = (phi * (inverse @ phi)).sum(-2) * root[..., None, :] ** 2
    single = (
        1 / inverse.diagonal(dim1=-2, dim2=-1).sum(-1),
        residual.square().mean(-1),
        (ridge * alpha).square().mean(-1),
    )
    kappa, error, train = (x.expand(*batch, count) for x in single)
    each = _powers(modes, residual), _shared(_padded(learned, S), root)
    mode_error, learnability = (x.expand(*batch, count, S) for x in each)
    return kappa, error, mode_error, train, learnability


# Codes of neurons and networks


@door
def bump(
    angle: Float[Tensor, " angle"],
    concentration: Number | Float[Tensor, "*#batch"],
    threshold: Number | Float[Tensor, "*#batch"] = 0.0,
) -> Float[Tensor, "*batch angle"]:
    """Tuning curve max(exp(concentration (cos u - 1)) - threshold, 0), with its peak at u = 0.

    A threshold from 0 to 1 sharpens the curve. Raises ValueError on one outside, which leaves no
    response, and on a negative concentration.
    """
    require("angle", angle, angle == angle, "finite", "a curve has a value at each")
    concentration, threshold = (
        torch.as_tensor(x, dtype=angle.dtype, device=angle.device)
        for x in (concentration, threshold)
    )
    require("concentration", concentration, concentration >= 0, "not negative", "the peak is at 0")
    fits = (threshold >= 0) & (threshold < 1)
    require("threshold", threshold, fits, "from 0 to below 1", "the peak is 1")
    curve = (concentration[..., None] * (angle.cos() - 1)).exp()
    return (curve - threshold[..., None]).clamp(min=0)


@door
def gratings(
    orientations: int, phases: int
) -> tuple[Float[Tensor, " stimulus"], Float[Tensor, " stimulus"]]:
    """All pairs of equally spaced orientations in (0, pi) and phases in (0, 2 pi), in float64.

    They start at half a step, so that no stimulus lies where the cosine of a phase is 0, if the
    phases are a multiple of 4.
    """
    for name, value in (("orientations", orientations), ("phases", phases)):
        draws.whole_number(value, name, 1, "there is nothing to see")
    theta, phi = (
        (torch.arange(count, dtype=torch.float64) + 0.5) * (turn / count)
        for count, turn in ((orientations, torch.pi), (phases, 2 * torch.pi))
    )
    return theta.repeat_interleave(phases), phi.repeat(orientations)


@door
def simple_cells(
    orientation: Float[Tensor, " stimulus"],
    phase: Float[Tensor, " stimulus"],
    preferred_orientation: Float[Tensor, " neuron"],
    preferred_phase: Float[Tensor, " neuron"],
    *,
    sharpness: float = 1.0,
    threshold: float = 0.1,
    power: float = 1.0,
) -> PopulationCode:
    """Gabor filters that look at gratings, and a rectifier: max(f - threshold max f, 0)^power.

    f = [exp(-s (1 + c)) cos(phi + phi') + exp(-s (1 - c)) cos(phi - phi')] / 2 with c the cosine
    between the orientations and s the ``sharpness``.
    """
    _check_cells(sharpness, threshold, power)
    f = _gabor(orientation, phase, preferred_orientation, preferred_phase, sharpness)
    return PopulationCode((f - threshold * f.max()).clamp(min=0) ** power)


@door
def complex_cells(
    orientation: Float[Tensor, " stimulus"],
    preferred_orientation: Float[Tensor, " neuron"],
    *,
    sharpness: float = 1.0,
) -> PopulationCode:
    """The energy of two Gabor filters a quarter of a phase apart: cosh(2 s c) / 2 cosh(2 s).

    Left out is a part cos(2 phi) / 2 cosh(2 s), so that phase does not matter at all to the cell.
    """
    _check_cells(sharpness, 0.0, 1.0)
    c = (orientation[:, None] - preferred_orientation).cos()
    return PopulationCode(
        (2 * sharpness * c).cosh() / (2 * (2 * orientation.new_tensor(sharpness)).cosh())
    )


@door
def mixture(
    one: PopulationCode, other: PopulationCode, share: Number | Float[Tensor, "*batch"]
) -> PopulationCode:
    """Both populations side by side, the first with a ``share`` of a mean square response of 1.

    The overlap is share k / tr + (1 - share) k' / tr' with tr the mean of k(x, x). Raises
    ValueError on a share outside of 0 to 1 and on populations that saw different stimuli.
    """
    r, s = one.response, other.response
    if r.shape[-2] != s.shape[-2]:
        raise ValueError(
            f"other must have seen {r.shape[-2]} stimuli, as one has, got {s.shape[-2]}"
        )
    share = torch.as_tensor(share, dtype=r.dtype, device=r.device)
    require("share", share, (share >= 0) & (share <= 1), "from 0 to 1", "it is a share")
    neurons = r.shape[-1] + s.shape[-1]
    parts = [
        (portion * neurons).sqrt()[..., None, None]
        * x
        / x.square().sum(-1).mean(-1).sqrt()[..., None, None]
        for portion, x in ((share, r), (1 - share, s))
    ]
    batch = torch.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return PopulationCode(torch.cat([part.expand(*batch, *part.shape[-2:]) for part in parts], -1))


@door(origin="experiment")
def recurrent_code(
    cue: Float[Tensor, " trial"],
    gain: Number | Float[Tensor, "*batch"],
    *,
    seed: int,
    members: int,
    neurons: int,
    steps: int = 100,
    every: int = 1,
) -> PopulationCode:
    """Rates tanh z of random recurrent networks; a stimulus is a trial at a moment of time.

    tau dz/dt = -z + W tanh z + w cue [t < 1] from z = 0 and for a time of 2, in equal ``steps`` of
    which every so many is kept, with tau = 0.08. W has independent normal entries of variance
    gain^2 / neurons. Responses are (*batch, member, stimulus, neuron); networks of all gains share
    their draws. Stimuli are ordered by trial, then by time; see ``moments``.
    """
    for name, value in (("members", members), ("neurons", neurons)):
        draws.whole_number(value, name, 1, "there is nobody to answer")
    time = moments(steps)
    kept = moments(steps, every)
    options = {"dtype": cue.dtype, "device": cue.device}
    gain = torch.as_tensor(gain, **options)[..., None, None, None]
    require("gain", gain, gain >= 0, "not negative", "it scales weights of either sign")
    chance = draws.normal(seed, "recurrent", members, (neurons, neurons), **options)
    W = gain / neurons**0.5 * chance  # (*batch, member, neuron, neuron)
    w = draws.normal(seed, "input", members, (1, neurons), **options)
    z = torch.zeros(*W.shape[:-2], len(cue), neurons, **options)
    step, rate = 2 / steps, []
    for t in (time - step).tolist():
        drive = cue[:, None] * w if t < 1 - step / 2 else 0.0
        z = z + step / TAU * (drive - z + z.tanh() @ W.mT)
        rate.append(z.tanh())
    rate = rate[steps // len(kept) - 1 :: steps // len(kept)]
    return PopulationCode(torch.stack(rate, -2).flatten(-3, -2))


@door
def moments(steps: int = 100, every: int = 1) -> Float[Tensor, " time"]:
    """The times up to 2 at which ``recurrent_code`` keeps its rates, in float64.

    Raises ValueError unless ``steps`` and ``every`` are at least 1, and the second divides the
    first.
    """
    for name, value in (("steps", steps), ("every", every)):
        draws.whole_number(value, name, 1, "there would be no time to keep")
    if steps % every:
        raise ValueError(f"every must divide the {steps} steps, got {every}")
    return 2 / steps * torch.arange(every, steps + 1, every, dtype=torch.float64)


# Pieces


def _modes(code: RingCode | PopulationCode) -> tuple[Tensor, Tensor]:
    """Roots of the eigenvalues, largest first, and eigenfunctions with <phi^2> = 1.

    (*batch, mode) and (*batch, stimulus, mode). Modes that no code of the batch sees are left out.
    """
    if isinstance(code, RingCode):
        root, functions = _fourier(code.tuning)
    else:
        S, N = code.response.shape[-2:]
        functions, singular, _ = torch.linalg.svd(code.response, full_matrices=False)
        root, functions = singular / (S * N) ** 0.5, functions * S**0.5
    root = torch.where(root > _rounding(code) * root[..., :1], root, 0.0)
    rank = int((root > 0).sum(-1).max())
    return root[..., :rank], functions[..., :rank]


def _fourier(tuning: Tensor) -> tuple[Tensor, Tensor]:
    S = tuning.shape[-1]
    frequency = (torch.arange(S, device=tuning.device) + 1) // 2  # 0, 1, 1, 2, 2, ...
    size = (torch.fft.rfft(tuning).abs() / S)[..., frequency]
    place = torch.arange(S, dtype=tuning.dtype, device=tuning.device)[:, None]
    turn = 2 * torch.pi / S * ((place * frequency) % S)
    even = torch.arange(S, device=tuning.device) % 2 == 0
    waves = 2**0.5 * torch.where(even, turn.sin(), turn.cos())
    alone = (frequency == 0) | (2 * frequency == S)  # without a partner
    waves = torch.where(alone, turn.cos(), waves)
    root, order = size.sort(stable=True, dim=-1, descending=True)
    return root, waves[:, order].movedim(0, -2)


def _powers(modes: tuple[Tensor, Tensor], fields: Tensor) -> Tensor:
    """Power of ``fields`` (*batch, row, stimulus) in every mode, (*batch, row, stimulus).

    What lies outside the modes is spread over the rest, which has the eigenvalue 0.
    """
    root, functions = modes
    S = functions.shape[-2]
    power = (fields @ functions / S).square() * (root > 0)[..., None, :]
    unseen = (fields.square().mean(-1, keepdim=True) - power.sum(-1, keepdim=True)).clamp(min=0)
    blind = (_padded(root, S) == 0).to(power)[..., None, :]
    power = _padded(power, S) + blind * unseen / blind.sum(-1, keepdim=True).clamp(min=1)
    return _shared(power, root)


def _shared(values: Tensor, root: Tensor) -> Tensor:
    """``values`` (*batch, row, mode), averaged over modes of one eigenvalue."""
    root = _padded(root, values.shape[-1])
    close = root.shape[-1] * torch.finfo(root.dtype).eps * root[..., :1]
    apart = (root.diff(dim=-1).abs() > close) | ((root[..., 1:] == 0) != (root[..., :-1] == 0))
    shell = torch.nn.functional.pad(apart.long().cumsum(-1), (1, 0))[..., None, :]
    shell = shell.expand(torch.broadcast_shapes(shell.shape, values.shape))
    values = values.expand(shell.shape)
    zero = torch.zeros_like(values)
    total = zero.scatter_add(-1, shell, values)
    count = zero.scatter_add(-1, shell, torch.ones_like(values))
    return (total / count.clamp(min=1)).gather(-1, shell)


def _gabor(theta: Tensor, phi: Tensor, theta0: Tensor, phi0: Tensor, s: float) -> Tensor:
    """(stimulus, neuron)"""
    c = (theta[:, None] - theta0).cos()
    there, back = (phi[:, None] - phi0).cos(), (phi[:, None] + phi0).cos()
    return 0.5 * ((-s * (1 + c)).exp() * back + (-s * (1 - c)).exp() * there)


def _resolve(k: Tensor, label: Tensor, ridge: Tensor) -> tuple[Tensor, Tensor]:
    """(k + ridge I)^-1 and its product with the labels."""
    identity = torch.eye(k.shape[-1], dtype=k.dtype, device=k.device)
    factor, failed = torch.linalg.cholesky_ex(k + ridge * identity)
    if failed.any():
        raise ValueError(
            "the overlaps of the stimuli must not be singular: give a positive ridge, or fewer "
            "samples"
        )
    inverse = torch.cholesky_inverse(factor)
    return inverse, (inverse @ label[..., None])[..., 0]


def _response(code: RingCode | PopulationCode) -> Tensor:
    return (population(code) if isinstance(code, RingCode) else code).response


def _stimuli(code: RingCode | PopulationCode) -> int:
    return code.tuning.shape[-1] if isinstance(code, RingCode) else code.response.shape[-2]


def _rounding(code: RingCode | PopulationCode) -> float:
    if isinstance(code, RingCode):
        return code.tuning.shape[-1] * torch.finfo(code.tuning.dtype).eps
    return max(code.response.shape[-2:]) * torch.finfo(code.response.dtype).eps


def _batch(model: Readout) -> tuple[int, ...]:
    code = model.code
    own = code.tuning.shape[:-1] if isinstance(code, RingCode) else code.response.shape[:-2]
    numbers = (_number(x, model.target).shape for x in (model.ridge, model.noise))
    return tuple(torch.broadcast_shapes(own, model.target.shape[:-1], *numbers))


def _number(value: Number | Tensor, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def _padded(values: Tensor, modes: int) -> Tensor:
    """Zeros behind, up to ``modes`` entries."""
    return torch.nn.functional.pad(values, (0, modes - values.shape[-1]))


def _sizes(samples: Tensor) -> list[int]:
    whole = samples.to(torch.float64)
    fits = (whole >= 1) & (whole == whole.round())
    require("samples", whole, fits, "positive whole numbers", "each is an example")
    return whole.long().tolist()


def _check_stimuli(code: RingCode | PopulationCode, target: Tensor) -> None:
    if target.shape[-1] != _stimuli(code):
        raise ValueError(
            f"target must have {_stimuli(code)} entries along its axis 'stimulus', one for each "
            f"stimulus of the code, got shape {tuple(target.shape)}"
        )


def _check_response(name: str, value: Tensor, axes: int) -> None:
    require(name, value, value == value, "finite", "it is a rate")
    silent = (value == 0).flatten(-axes).all(-1)
    if silent.any():
        raise ValueError(f"{name} must not be 0 throughout: a silent code tells nothing")


def _check_cells(sharpness: float, threshold: float, power: float) -> None:
    if not 0 <= sharpness <= 50:
        raise ValueError(f"sharpness must be from 0 to 50, got {sharpness:g}: exp(2 s) overflows")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold must be from 0 to below 1, got {threshold:g}: none responds")
    if not 0 < power < float("inf"):
        raise ValueError(f"power must be positive and finite, got {power:g}")
