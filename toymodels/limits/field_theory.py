"""Training of infinitely wide networks whose features move: all neurons of a layer become alike.

A network with L hidden layers of N neurons, f = w.phi(h^L) / (gamma_0 N), is trained by gradient
descent with step eta gamma_0^2 N on (1/2) sum_m Delta_m^2, Delta = y - f, from unit Gaussian
weights. At N = infinity each layer is a single neuron h^l, with an error signal g^l = phi'(h^l) z^l
sent back to it, in a Gaussian environment u, r and driven by its own past:

    h(t,m) = u(t,m) + sum_{s<t,n}  [a(t,m; s,n) + e Delta_n(s) Phi(t,m; s,n)] g(s,n)
    z(t,m) = r(t,m) + sum_{s<=t,n} [b(t,m; s,n) + e Delta_n(s) G(t,m; s,n) 1(s<t)] phi(h(s,n))

    Phi^l = <phi(h^l) phi(h^l)>   feature kernels; Phi^0 = K_x and u^l ~ N(0, Phi^(l-1))
    G^l   = <g^l g^l>             gradient kernels; G^(L+1) = 1 and r^l ~ N(0, G^(l+1))
    a^l   = <d phi(h^l) / d r^l>  and b^(l-1) = <d g^l / d u^l> responses; a^0 = b^L = 0
    f     = <z^L phi(h^L)> / gamma_0,  e = gamma_0 eta

with Phi, a of the layer below and G, b of the layer above. This is exact for gradient descent in
steps. Nothing depends on the future, so the theory is marched: at every time one sweep up through
the layers and one down, without guess or iteration. Kernels are matrices over (time, sample).

Source: Bordelon & Pehlevan (2022), arXiv:2205.09653, section 3; in steps Yang & Hu (2021),
arXiv:2011.14522.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.entrywise import Function, derivatives, entrywise, identity
from toymodels.numerics.estimate import standard_error

POINTS = 1 << 17  # of a quadrature
JITTER = 1e-10  # relative to the mean of a diagonal: far below what 1e6 drawn neurons resolve
SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)


@dataclass(frozen=True)
class FieldTheory:
    """Order parameters; row t * samples + m of a matrix belongs to time t and sample m."""

    prediction: Float[Tensor, "*batch time sample"]
    error: Float[Tensor, "*batch time sample"]  # of prediction: standard error, or of quadrature
    feature: Float[Tensor, "*batch hidden event event"]  # Phi^l, l = 1 ... L
    gradient: Float[Tensor, "*batch hidden event event"]  # G^l, l = 1 ... L
    feature_response: Float[Tensor, "*batch inner event event"]  # a^l, l = 1 ... L - 1
    gradient_response: Float[Tensor, "*batch inner event event"]  # b^l, l = 1 ... L - 1
    finite: Bool[Tensor, "*batch"]  # False where training diverged


@door(origin="theory")
def march(
    kernel: Float[Tensor, "*#batch sample sample"],
    label: Float[Tensor, "*#batch sample"],
    richness: float | Tensor,
    steps: int,
    *,
    step: float,
    hidden_layers: int = 1,
    activation: Function | None = None,
    neurons: int = 4000,
    groups: int = 5,
    points: int = POINTS,
    seed: int | None = None,
) -> FieldTheory:
    """The theory by the best road: ``linear``; up to 3 samples ``one_hidden``; else ``sampled``.

    ``activation`` is linear as in ``entrywise``. ``richness`` is gamma_0, a number or of shape
    (*batch,). ``steps`` steps give ``steps`` + 1 times, 0 first. Raises ValueError as the road
    taken does, and where ``sampled`` is not given a ``seed``.
    """
    problem = kernel, label, richness, steps
    if entrywise(activation) is identity:
        return linear(*problem, step=step, hidden_layers=hidden_layers)
    if hidden_layers == 1 and label.shape[-1] <= 3:
        return one_hidden(*problem, step=step, activation=activation, points=points)
    if seed is None:
        raise ValueError("seed must be a whole number, got None: neurons are drawn")
    return sampled(
        *problem,
        step=step,
        hidden_layers=hidden_layers,
        activation=activation,
        neurons=neurons,
        groups=groups,
        seed=seed,
    )


@door(origin="theory")
def linear(
    kernel: Float[Tensor, "*#batch sample sample"],
    label: Float[Tensor, "*#batch sample"],
    richness: float | Tensor,
    steps: int,
    *,
    step: float,
    hidden_layers: int = 1,
) -> FieldTheory:
    """The theory of a deep linear network, exact to rounding: its fields are Gaussian.

    Costs about 40 L (steps samples)^3 operations and 32 L (steps samples)^2 bytes per member.
    Raises ValueError on a kernel that is not symmetric and positive semidefinite, a step or
    richness that is not positive, and numbers of steps or layers that are not whole.
    """
    problem = _Problem.checked(kernel, label, richness, steps, step, hidden_layers)
    return _march(problem, [_LinearLayer(problem) for _ in range(hidden_layers)])


@door(origin="theory")
def sampled(
    kernel: Float[Tensor, "*#batch sample sample"],
    label: Float[Tensor, "*#batch sample"],
    richness: float | Tensor,
    steps: int,
    *,
    step: float,
    hidden_layers: int,
    activation: Function | None,
    seed: int,
    neurons: int = 4000,
    groups: int = 5,
) -> FieldTheory:
    """The theory of any depth with a smooth activation, its averages over drawn neurons.

    The ``neurons`` of a layer form ``groups`` that are marched alone; the result is their mean
    and the error the standard error of that mean. Each group is also biased by order groups /
    neurons. Neurons come in fours of opposite u and r, so that the prediction starts at 0; kernels
    therefore scatter as those of neurons / 4 free draws.
    Memory: 32 (hidden_layers - 1) neurons (steps samples)^2 bytes per member.
    Raises ValueError as ``linear`` does, and on an activation with a kink at 0: the responses
    need its second derivative.
    """
    _check_smooth(activation, kernel.device)
    for name, value, least in (("groups", groups, 2), ("neurons", neurons, 4 * groups)):
        if draws.whole_number(value, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    problem = _Problem.checked(kernel, label, richness, steps, step, hidden_layers)
    crowd = problem.repeated(groups)
    layers = [
        _SampledLayer(
            crowd,
            activation,
            _normals(problem, seed, f"layer {place}", groups, neurons // (4 * groups)),
            lowest=place == 0,
            highest=place == hidden_layers - 1,
        )
        for place in range(hidden_layers)
    ]
    every = _march(crowd, layers)
    mean = {
        name: value.double().mean(problem.label.ndim - 1) for name, value in vars(every).items()
    }
    mean["error"] = standard_error(every.prediction, problem.label.ndim - 1)
    mean["finite"] = mean["finite"] == 1
    return FieldTheory(**mean)


@door(origin="theory")
def one_hidden(
    kernel: Float[Tensor, "*#batch sample sample"],
    label: Float[Tensor, "*#batch sample"],
    richness: float | Tensor,
    steps: int,
    *,
    step: float,
    activation: Function | None,
    points: int = POINTS,
) -> FieldTheory:
    """The theory of one hidden layer by Gauss-Hermite quadrature over h(0) and z(0).

    There are no responses. The nodes fill samples + 1 dimensions, so that few are left to each
    when there are more than 3 samples; kinks and strong richness are slow to converge as well.
    The error is the difference to a quadrature with 3/4 of the nodes along each dimension.
    Raises ValueError as ``linear`` does.
    """
    problem = _Problem.checked(kernel, label, richness, steps, step, 1)
    draws.whole_number(points, "points", 1, "a quadrature needs nodes")
    nodes = min(150, max(4, round(points ** (1 / (problem.samples + 1)))))
    fine = _quadrature(problem, activation, nodes)
    coarse = _quadrature(problem, activation, 3 * nodes // 4)
    return replace(fine, error=(fine.prediction - coarse.prediction).abs())


@dataclass(frozen=True)
class _Problem:
    """Checked, in float64 and expanded to (*batch, sample, sample), (*batch, sample), (*batch,)."""

    kernel: Tensor
    label: Tensor
    richness: Tensor
    times: int
    step: float

    @classmethod
    def checked(cls, kernel, label, richness, steps, step, hidden_layers) -> "_Problem":
        draws.whole_number(hidden_layers, "hidden_layers", 1, "a kernel machine is linear")
        draws.whole_number(steps, "steps")
        slack = max(1e-10, 10 * kernel.shape[-1] * torch.finfo(kernel.dtype).eps)
        kernel, label = kernel.double(), label.double()
        richness = torch.as_tensor(richness, dtype=torch.float64, device=kernel.device)
        for name, value in (("richness", richness), ("step", torch.as_tensor(step))):
            if not ((value > 0) & value.isfinite()).all():
                raise ValueError(f"{name} must be positive and finite, got {value.tolist()}")
        size = kernel.diagonal(dim1=-2, dim2=-1).abs().amax(-1)[..., None, None]
        if not ((kernel - kernel.mT).abs() <= slack * size).all():  # false of NaN and infinity too
            raise ValueError("kernel must be a finite, symmetric matrix")
        variance, axes = torch.linalg.eigh((kernel + kernel.mT) / 2)
        if (variance < -slack * size[..., 0]).any():
            raise ValueError("kernel must have no negative eigenvalue: it is a covariance")
        if slack > 1e-10:  # rounded in less than double precision: the covariance that was meant
            kernel = (axes * variance.clamp(min=0)[..., None, :]) @ axes.mT
        if not label.isfinite().all():
            raise ValueError("label must be finite, got NaN or infinity")
        batch = torch.broadcast_shapes(kernel.shape[:-2], label.shape[:-1], richness.shape)
        return cls(
            kernel.expand(*batch, *kernel.shape[-2:]),
            label.expand(*batch, label.shape[-1]),
            richness.expand(batch),
            steps + 1,
            float(step),
        )

    @property
    def samples(self) -> int:
        return self.label.shape[-1]

    def repeated(self, groups: int) -> "_Problem":
        """The same problem ``groups`` times, along a last batch axis."""
        batch = *self.richness.shape, groups
        return replace(
            self,
            kernel=self.kernel[..., None, :, :].expand(*batch, *self.kernel.shape[-2:]),
            label=self.label[..., None, :].expand(*batch, self.samples),
            richness=self.richness[..., None].expand(batch),
        )

    def matrices(self, *inner: int) -> Tensor:
        """Zeros (*batch, *inner, event, event)."""
        events = self.times * self.samples
        return self.label.new_zeros(*self.richness.shape, *inner, events, events)


def _march(problem: _Problem, layers: list) -> FieldTheory:
    """Time by time, up through the layers and down again."""
    depth, samples = len(layers), problem.samples
    feature, gradient, a, b = (problem.matrices(depth + 2) for _ in range(4))
    feature[..., 0, :, :] = problem.kernel.repeat(
        *[1] * problem.richness.ndim, problem.times, problem.times
    )
    gradient[..., -1, :, :] = 1.0
    prediction = problem.label.new_zeros(*problem.richness.shape, problem.times * samples)
    force = torch.zeros_like(prediction)  # e Delta
    for t in range(problem.times):
        now, upto = slice(t * samples, (t + 1) * samples), slice((t + 1) * samples)
        drive = force[..., None, upto]  # still 0 at ``now``
        for place, layer in enumerate(layers, 1):
            below, above = feature[..., place - 1, :, :], gradient[..., place + 1, :, :]
            pull = a[..., place - 1, now, upto] + drive * below[..., now, upto]
            row, a[..., place, now, upto] = layer.rise(now, pull, below, above)
            feature[..., place, now, upto] = row
            feature[..., place, upto, now] = row.mT
        for place, layer in reversed(list(enumerate(layers, 1))):
            below, above = feature[..., place - 1, :, :], gradient[..., place + 1, :, :]
            push = b[..., place, now, upto] + drive * above[..., now, upto]
            row, b[..., place - 1, now, upto] = layer.fall(now, push, below, above)
            gradient[..., place, now, upto] = row
            gradient[..., place, upto, now] = row.mT
        output = layers[-1].output(now, feature[..., -3, :, :], gradient[..., -1, :, :])
        prediction[..., now] = output / problem.richness[..., None]
        slope = problem.label - prediction[..., now]
        force[..., now] = problem.step * problem.richness[..., None] * slope
    prediction = prediction.unflatten(-1, (problem.times, samples))
    return FieldTheory(
        prediction,
        torch.zeros_like(prediction),
        feature[..., 1:-1, :, :],
        gradient[..., 1:-1, :, :],
        a[..., 1:-2, :, :],
        b[..., 1:-2, :, :],
        # the signals of the last step are the first to be lost
        prediction.isfinite().all(-1).all(-1) & gradient.isfinite().flatten(-3).all(-1),
    )


class _LinearLayer:
    """h = h_u u + h_r r and z = z_u u + z_r r: matrices instead of samples.

    ``rise`` finds h, then the rows of Phi and of the response a; ``fall`` finds g, then the rows
    of G and b. All are rows of the events ``now``, up to now; what came before is known.
    """

    def __init__(self, problem: _Problem):
        self.h_u, self.h_r, self.z_u, self.z_r = (problem.matrices() for _ in range(4))

    def rise(self, now: slice, pull: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        upto = slice(now.stop)
        self.h_u[..., now, :] = pull @ self.z_u[..., upto, :]
        self.h_r[..., now, :] = pull @ self.z_r[..., upto, :]
        self.h_u[..., now, now].diagonal(dim1=-2, dim2=-1).add_(1.0)
        row = self._covariance(now, upto, self.h_u, self.h_r, below, above)
        return row, self.h_r[..., now, upto]

    def fall(self, now: slice, push: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        upto = slice(now.stop)
        self.z_u[..., now, :] = push @ self.h_u[..., upto, :]
        self.z_r[..., now, :] = push @ self.h_r[..., upto, :]
        self.z_r[..., now, now].diagonal(dim1=-2, dim2=-1).add_(1.0)
        row = self._covariance(now, upto, self.z_u, self.z_r, below, above)
        return row, self.z_u[..., now, upto]

    def output(self, now: slice, below: Tensor, above: Tensor) -> Tensor:
        both = self._covariance(now, now, self.z_u, self.z_r, below, above, self.h_u, self.h_r)
        return both.diagonal(dim1=-2, dim2=-1)

    @staticmethod
    def _covariance(rows, columns, of_u, of_r, below, above, other_u=None, other_r=None) -> Tensor:
        other_u, other_r = (of_u, of_r) if other_u is None else (other_u, other_r)
        from_u = of_u[..., rows, :] @ below @ other_u[..., columns, :].mT
        return from_u + of_r[..., rows, :] @ above @ other_r[..., columns, :].mT


class _SampledLayer:
    """Drawn neurons, (*batch, neuron, event), and what they owe to u and r."""

    def __init__(self, problem, activation, normals: Tensor, *, lowest: bool, highest: bool):
        self.activation = activation
        self.normals = normals.unbind(-3)  # behind u and r, (*batch, neuron, event)
        self.factors = problem.matrices(), problem.matrices()  # Cholesky factors of below, above
        self.phi, self.slope, self.g = (torch.zeros_like(self.normals[0]) for _ in range(3))
        # derivatives of phi(h) and g with respect to r and u, where a response needs them
        self.derivatives = {}
        for cause, needed in (("r", not highest), ("u", not lowest)):
            if needed:
                shape = normals.shape[-2]
                self.derivatives[cause] = problem.matrices(shape), problem.matrices(shape)

    def rise(self, now: slice, pull: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        upto = slice(now.stop)
        h = self._field(0, below, now) + self.g[..., upto] @ pull.mT  # (*batch, neuron, sample)
        self.phi[..., now], self.slope[..., now], self.bend = derivatives(self.activation, h, 2)
        self.of_h = {}
        for cause, (of_phi, of_g) in self.derivatives.items():
            of_h = pull[..., None, :, :] @ of_g[..., upto, :]
            if cause == "u":
                of_h[..., now].diagonal(dim1=-2, dim2=-1).add_(1.0)
            of_phi[..., now, :] = of_h * self.slope[..., now, None]
            self.of_h[cause] = of_h
        return self._covariance(self.phi, now), self._response("r", 0, now)

    def fall(self, now: slice, push: Tensor, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        upto = slice(now.stop)
        self.z = self._field(1, above, now) + self.phi[..., upto] @ push.mT
        slope, bend = self.slope[..., now], self.bend * self.z
        self.g[..., now] = slope * self.z
        for cause, (of_phi, of_g) in self.derivatives.items():
            of_z = push[..., None, :, :] @ of_phi[..., upto, :]
            if cause == "r":
                of_z[..., now].diagonal(dim1=-2, dim2=-1).add_(1.0)
            of_g[..., now, :] = of_z * slope[..., None] + self.of_h[cause] * bend[..., None]
        return self._covariance(self.g, now), self._response("u", 1, now)

    def output(self, now: slice, below: Tensor, above: Tensor) -> Tensor:
        return (self.z * self.phi[..., now]).mean(-2)

    def _field(self, which: int, covariance: Tensor, now: slice) -> Tensor:
        """u or r at ``now``: the next rows of a Cholesky factor, on the normals of the start."""
        factor, past, upto = self.factors[which], slice(now.start), slice(now.stop)
        known = torch.linalg.solve_triangular(
            factor[..., past, past], covariance[..., past, now], upper=False
        )
        rest = covariance[..., now, now] - known.mT @ known
        size = covariance[..., now, now].diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)
        rest.diagonal(dim1=-2, dim2=-1).add_(JITTER * size)
        factor[..., now, past] = known.mT
        factor[..., now, now] = torch.linalg.cholesky_ex(rest).L
        return self.normals[which][..., upto] @ factor[..., now, upto].mT

    @staticmethod
    def _covariance(field: Tensor, now: slice) -> Tensor:
        return field[..., now].mT @ field[..., : now.stop] / field.shape[-2]

    def _response(self, cause: str, which: int, now: slice) -> Tensor:
        if cause not in self.derivatives:
            return self.phi.new_zeros(())
        return self.derivatives[cause][which][..., now, : now.stop].mean(-3)


def _normals(problem: _Problem, seed: int, purpose: str, groups: int, fours: int) -> Tensor:
    """(*batch, group, 2, neuron, event): the normals behind u and r, in fours of all signs."""
    events = problem.times * problem.samples
    one = draws.normal(
        seed,
        purpose,
        problem.richness.numel(),
        (groups, 2, fours, 1, events),
        device=problem.label.device,
    )
    signs = SIGNS.to(one).mT[:, None, :, None]  # (2, 1, 4, 1)
    neurons = (one * signs).flatten(-3, -2)  # (member, group, 2, neuron, event)
    return neurons.reshape(*problem.richness.shape, *neurons.shape[1:])


def _quadrature(problem: _Problem, activation: Function | None, nodes: int) -> FieldTheory:
    node, weight = (
        torch.as_tensor(part, device=problem.label.device)
        for part in np.polynomial.hermite_e.hermegauss(nodes)
    )
    dimensions = problem.samples + 1
    grid = torch.cartesian_prod(*[node] * dimensions)  # (point, sample + 1)
    weight = torch.cartesian_prod(*[weight / weight.sum()] * dimensions).prod(-1)
    kernel = problem.kernel
    variance, axes = torch.linalg.eigh(kernel)
    root = axes * variance.clamp(min=0).sqrt()[..., None, :]
    h = grid[:, :-1] @ root.mT  # (*batch, point, sample)
    z = grid[:, -1:].expand(*h.shape[:-1], 1)
    prediction, signals, errors = [], [], []
    for _ in range(problem.times):
        phi, slope = derivatives(activation, h)
        signals.append(phi)
        errors.append(slope * z)
        output = (weight[:, None] * z * phi).sum(-2) / problem.richness[..., None]
        prediction.append(output)
        force = problem.step * (problem.richness[..., None] * (problem.label - output))
        h = h + (errors[-1] * force[..., None, :]) @ kernel.mT
        z = z + (phi * force[..., None, :]).sum(-1, keepdim=True)
    covariances = []
    for parts in (signals, errors):
        field = torch.cat(parts, -1)  # (*batch, point, event)
        covariances.append((field.mT @ (weight[:, None] * field))[..., None, :, :])
    prediction = torch.stack(prediction, -2)
    nothing = problem.matrices(0)
    finite = prediction.isfinite().all(-1).all(-1)
    return FieldTheory(
        prediction, torch.zeros_like(prediction), *covariances, nothing, nothing, finite
    )


def _check_smooth(activation: Function | None, device: torch.device) -> None:
    sides = torch.tensor([-1e-9, 1e-9], dtype=torch.float64, device=device)
    _, (below, above) = derivatives(activation, sides)
    if abs(above - below) > 1e-6:
        raise ValueError(
            f"activation must be smooth, got slopes {below:g} and {above:g} on the two sides of 0: "
            "the responses need its second derivative"
        )
