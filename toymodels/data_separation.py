"""How much each layer of a trained classifier separates its classes.

Leaky networks with batch normalization learn to tell classes apart, under four kinds of noise: in
the data, from the learning rate, from dropout and from small batches. What every layer
contributes is the load curve. Chapter: ``chapters/data_separation.md``.

    S_W, S_B   scatter of the features around the mean of their class, and of these means
    D_l        log tr(S_W S_B^+) after layer l, what separation is missing; l = 0 are the inputs
    d_l        load of layer l, D_{l-1} - D_l; all equal is the law of data separation
    alpha      slope of the activation below zero: 1 is a linear network, 0 is ReLU

Theory and experiment meet before training only: no formula is known for a trained network. What
the theory of ``spring_block`` says about it is a shape.

Source: Shi, Pan & Dokmanic (2025), arXiv:2407.19353; He & Su (2023), arXiv:2210.17020. The kernels
of leaky units follow from Cho & Saul (2009).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toymodels.networks.activation import LeakyReLU
from toymodels.networks.data import Batches, Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.loss import cross_entropy
from toymodels.networks.network import Moments, Perceptron
from toymodels.networks.parameterization import standard
from toymodels.networks.rules import Adam
from toymodels.numerics import draws
from toymodels.numerics.door import door
from toymodels.numerics.quantity import require
from toymodels.sweeps.store import read

Number = float | int | Tensor  # a tensor holds a value for each cell of a diagram, (*batch,)
AT_ONCE = 32  # networks in a chunk: gradients of normalized layers cost their calls, not the cache
CUTOFF = 1e-6  # eigenvalues of S_B below this part of the largest are rounding, not separation
RANGES = {  # of every number per cell: at least, at most
    "slope": (-1.0, 1.0),
    "rate": (0.0, 10.0),
    "dropout": (0.0, 0.99),
    "input_noise": (0.0, 1e3),
    "label_noise": (0.0, 1e3),
}
MEASURED = ("separation", "test_separation", "train_accuracy", "test_accuracy")
STORED = Path(__file__).parent / "results" / "data_separation"


@door
@dataclass(frozen=True)
class Classifier:
    """Networks and how they are trained; numbers may be tensors that broadcast to (*batch,).

    ``batch_size`` is one for all, as networks in a stack take steps of one shape. Raises
    ValueError on numbers out of range and on shapes that do not broadcast.
    """

    hidden_layers: int
    width: int
    slope: Number = 0.0  # alpha
    rate: Number = 1e-3  # Adam's step
    dropout: Number = 0.0  # part of the signals that training loses
    input_noise: Number = 0.0  # standard deviation, fresh at every step; inputs have variance 1
    label_noise: Number = 0.0  # the same on every entry of the labels, which are 0 or 1
    batch_size: int | None = None  # samples of a step, drawn with replacement; None takes all

    def __post_init__(self):
        for name in ("hidden_layers", "width"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1, got {getattr(self, name)}: no features without"
                )
        if self.batch_size is not None and self.batch_size < 2:
            raise ValueError(
                f"batch_size must be at least 2, got {self.batch_size}: a sample by itself has no "
                "variance to normalize by"
            )
        for (name, (least, most)), value in zip(RANGES.items(), self.numbers, strict=True):
            inside = (value >= least) & (value <= most)
            require(name, value, inside, f"from {least} to {most}", "training takes no others")

    @property
    def numbers(self) -> list[Tensor]:
        """Slope, rate, dropout, input noise and label noise of every cell, (*batch,) each."""
        given = [torch.as_tensor(getattr(self, name), dtype=torch.float64) for name in RANGES]
        try:
            return list(torch.broadcast_tensors(*given))
        except RuntimeError:
            shapes = [tuple(value.shape) for value in given]
            raise ValueError(f"numbers must broadcast to one batch, got {shapes}") from None


@door
@dataclass(frozen=True)
class Data:
    """Samples to learn from and to be tested on; labels are a 1 in the column of the class."""

    inputs: Float[Tensor, "sample input"]
    labels: Float[Tensor, "sample class"]
    test_inputs: Float[Tensor, "test input"]
    test_labels: Float[Tensor, "test class"]


@dataclass(frozen=True)
class LoadCurve:
    """Separation over layers. Theory and experiment both return this.

    In an experiment the last axes of *batch are the members of a cell and the recorded steps.
    """

    layer: Int[Tensor, " layer"]
    separation: Float[Tensor, "*batch layer"]  # D_0 of the inputs, D_1, ..., D_L
    test_separation: Float[Tensor, "*batch layer"] | None = None
    train_accuracy: Float[Tensor, "*batch"] | None = None
    test_accuracy: Float[Tensor, "*batch"] | None = None

    @property
    def load(self) -> Float[Tensor, "*batch layer"]:
        """d_1 to d_L: what each layer adds to the separation."""
        return -self.separation.diff()

    @property
    def curvature(self) -> Float[Tensor, "*batch"]:
        """Mean second difference of the separation over layers; negative is concave."""
        load = self.load
        return (load[..., 0] - load[..., -1]) / (load.shape[-1] - 1)


@door
def within_between(
    features: Float[Tensor, "*batch sample feature"], labels: Float[Tensor, "sample class"]
) -> tuple[Float[Tensor, "*batch feature feature"], Float[Tensor, "*batch feature feature"]]:
    """S_W and S_B, both per sample: their sum is the covariance of the features.

    Source: He & Su (2023), arXiv:2210.17020.
    """
    _check_labels(labels)
    share = labels.mean(-2)
    means = labels.mT @ features / labels.sum(-2)[:, None]
    apart = features - labels @ means
    centered = means - features.mean(-2, keepdim=True)
    return (
        apart.mT @ apart / len(labels),
        centered.mT @ (share[:, None] * centered),
    )


@door
def separation(
    features: Float[Tensor, "*batch sample feature"], labels: Float[Tensor, "sample class"]
) -> Float[Tensor, "*batch"]:
    """D = log tr(S_W S_B^+) in float64, through matrices of the size of the classes.

    NaN where features are not finite or all class means agree. Raises ValueError on labels that are
    not one of the classes each, or on an empty class.
    """
    contrast = _contrast(labels)
    centered = features.double()  # in single precision an offset would drown the differences
    centered = centered - centered.mean(-2, keepdim=True)
    return _missing(centered @ (contrast @ centered).mT, contrast, labels)


@door(origin="theory")
def theory(model: Classifier, data: Data) -> LoadCurve:
    """Load curve of infinitely wide networks before training.

    D depends on the features through their scalar products, the kernel K. A random layer centers
    K, divides it by the mean of its diagonal (batch normalization) and maps variances p, q and
    covariance k of Gaussian units to

        a^2 k + b^2 (2 / pi) (sqrt(p q - k^2) + k arcsin(k / sqrt(p q))),   a, b = (1 +- alpha) / 2.

    The variance of a unit over samples is taken at its mean, good if no few directions of the
    inputs dominate. Noise and rate do not enter: nothing has been learned yet. In float64.
    """
    inputs = data.inputs.double() - data.inputs.double().mean(-2)
    slope = model.numbers[0].to(inputs)[..., None, None]
    contrast = _contrast(data.labels)
    kernel = (inputs @ inputs.mT).expand(*slope.shape[:-2], -1, -1)
    seen = [_missing(kernel @ contrast.mT, contrast, data.labels)]
    for _ in range(model.hidden_layers):
        kernel = _leaky(_normalized(kernel), slope)
        seen.append(_missing(kernel @ contrast.mT, contrast, data.labels))
    return LoadCurve(torch.arange(model.hidden_layers + 1), torch.stack(seen, -1))


@door(origin="experiment")
def experiment(
    model: Classifier,
    data: Data,
    *,
    seed: int,
    record: Int[Tensor, " time"],
    members: int = 1,
) -> LoadCurve:
    """Train ``members`` networks in every cell with Adam: (*batch, member, time, layer).

    Separation is that of the training samples, which also set the normalization of the test; no
    noise and no dropout act while it is measured. ``record`` counts steps. All draws depend on
    seed and member alone. Precision is that of the data. Raises FloatingPointError if a network
    diverges.
    """
    if members < 1:
        raise ValueError(f"members must be at least 1, got {members}")
    cells = model.numbers[0].shape
    slope, rate, dropout, input_noise, label_noise = (
        value.to(data.inputs)[..., None].expand(*cells, members) for value in model.numbers
    )
    widths = [data.inputs.shape[-1]] + [model.width] * model.hidden_layers + [data.labels.shape[-1]]
    networks = cells.numel() * members
    where = {"dtype": data.inputs.dtype, "device": data.inputs.device}
    weights = standard(widths).start(networks, seed=seed, **where)
    weights += [w.new_zeros(networks, 1, w.shape[-2]) for w in weights]
    samples = Samples(data.inputs, data.labels, _or_zero(input_noise), _or_zero(label_noise))
    seen = train(
        [w.reshape(*cells, members, *w.shape[1:]) for w in weights],
        samples if model.batch_size is None else Batches(samples, model.batch_size),
        network=Perceptron(
            LeakyReLU(slope), biases=True, normalize=True, dropout=_or_zero(dropout)
        ),
        loss=cross_entropy,
        rule=Adam(rate),
        record=record,
        observe=_observer(data),
        seed=seed,
        chunk=AT_ONCE,
    )
    found = seen.require_finite().observed
    layer = torch.arange(model.hidden_layers + 1, device=data.inputs.device)
    return LoadCurve(layer=layer, **found)


@door(origin="experiment")
def diagram(
    model: Classifier,
    data: Data,
    noise: Mapping[str, Tensor],
    *,
    seed: int,
    record: Int[Tensor, " time"],
    members: int = 1,
) -> LoadCurve:
    """Phase diagram: ``model.slope`` (slope,) against ``noise``, (slope, value, member, ...).

    ``noise`` names fields of the model and gives each the values of one axis. A diagram is one
    stack of networks, except over ``batch_size``: a stack for each size, which share their starts.
    """
    how = {"seed": seed, "members": members, "record": record}
    if "batch_size" not in noise:
        return experiment(replace(model, slope=model.slope[:, None], **noise), data, **how)
    columns = [
        experiment(replace(model, batch_size=size), data, **how)
        for size in noise["batch_size"].tolist()
    ]
    parts = {name: [getattr(c, name) for c in columns] for name in MEASURED}
    return LoadCurve(columns[0].layer, **{name: torch.stack(x, 1) for name, x in parts.items()})


@dataclass(frozen=True)
class Stored:
    """Diagrams that took minutes, and where they come from."""

    origin: dict  # script, seed, date, versions, and the numbers of every axis
    curves: dict[str, dict[str, LoadCurve]]  # by data and kind of noise, (slope, value, member)


@door(origin="experiment")
def stored(folder: Path = STORED) -> Stored:
    """What ``tools/figures_full.py`` computed last. Raises ValueError on a damaged file."""
    origin, curves = {}, {}
    for file in sorted(folder.glob("*.point")):
        header, fields = read(file)
        parts = {name: torch.from_numpy(array).double() for name, array in fields.items()}
        layers = torch.arange(parts["separation"].shape[-1])
        point = header["point"]
        curves.setdefault(point["data"], {})[point["noise"]] = LoadCurve(layers, **parts)
        origin = header["code"] | {"date": header["date"]}
    return Stored(origin, curves)


@door(origin="experiment")
def clusters(
    *,
    seed: int,
    classes: int,
    clusters: int,
    inputs: int,
    spread: float,
    samples: int,
    test_samples: int,
    dtype: torch.dtype = torch.float64,
) -> Data:
    """Gaussian clouds of standard deviation ``spread`` around normal centers, dealt to classes.

    Cloud i belongs to class i modulo ``classes``. Inputs are standardized, see ``standardized``.
    Raises ValueError on fewer than two classes or fewer clouds than classes, on no inputs and on a
    spread that is not finite or negative.
    """
    if not 2 <= classes <= clusters:
        raise ValueError(
            f"classes must be from 2 to the number of clusters, {clusters}, got {classes}"
        )
    if inputs < 1:
        raise ValueError(f"inputs must be at least 1, got {inputs}")
    if not 0 <= spread < float("inf"):
        raise ValueError(f"spread must be finite and not negative, got {spread}")
    if test_samples < 1:
        raise ValueError(f"test_samples must be at least 1, got {test_samples}")
    total = samples + test_samples
    centers = draws.normal(seed, "centers", 1, (clusters, inputs))[0]
    cloud = draws.integers(seed, "clouds", 1, (total,), high=clusters)[0]
    points = centers[cloud] + spread * draws.normal(seed, "points", 1, (total, inputs))[0]
    return standardized(points.to(dtype), cloud % classes, samples=samples)


@door
def standardized(
    points: Float[Tensor, "sample input"], label: Int[Tensor, " sample"], *, samples: int
) -> Data:
    """The first ``samples`` to learn from, the others to test; inputs of mean 0 and variance 1.

    Inputs that do not vary over the training samples are left out. Raises ValueError if none of
    the samples is left for a test, or no input varies.
    """
    if not 1 < samples < len(points):
        raise ValueError(f"samples must be from 2 up and below {len(points)}, got {samples}")
    mean, scale = points[:samples].mean(0), points[:samples].std(0, correction=0)
    kept = scale > 0
    if not bool(kept.any()):
        raise ValueError("points must vary over the training samples: nothing tells them apart")
    inputs = (points - mean)[:, kept] / scale[kept]
    labels = torch.nn.functional.one_hot(label).to(inputs)
    return Data(inputs[:samples], labels[:samples], inputs[samples:], labels[samples:])


def _observer(data: Data) -> dict[str, Callable[[State], Tensor]]:
    """What an experiment records, by the names of the fields."""

    def curve(state: State, inputs: Tensor, labels: Tensor, moments: Moments | None) -> Tensor:
        layers = state.network.features(state.weights, inputs, moments)
        start = separation(inputs, labels).expand(len(state.members))
        return torch.stack([start, *(separation(features, labels) for features in layers)], -1)

    def held_out(state: State) -> tuple[Tensor, Tensor, Moments]:
        moments = state.network.moments(state.weights, state.inputs)
        return data.test_inputs, data.test_labels, moments

    def tested(state: State) -> Tensor:
        inputs, labels, moments = held_out(state)
        return _accuracy(state.network(state.weights, inputs, moments), labels)

    return {
        "separation": lambda state: curve(state, state.inputs, state.labels, None),
        "test_separation": lambda state: curve(state, *held_out(state)),
        "train_accuracy": lambda state: _accuracy(state.outputs(), state.labels),
        "test_accuracy": tested,
    }


def _accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs.argmax(-1) == labels.argmax(-1)).to(outputs.dtype).mean(-1)


def _check_labels(labels: Tensor) -> None:
    if not bool(((labels == 0) | (labels == 1)).all() & (labels.sum(-1) == 1).all()):
        raise ValueError("labels must be a 1 in the column of the class and 0 elsewhere")
    if bool((labels.sum(-2) == 0).any()):
        raise ValueError("labels must have samples of every class, got an empty one")


def _contrast(labels: Tensor) -> Tensor:
    """(class, sample): turns features into class means minus mean, times the root of the share."""
    _check_labels(labels)
    labels = labels.double()
    count = labels.sum(-2)
    share = count / len(labels)
    return share.sqrt()[:, None] * (labels.mT / count[:, None] - 1 / len(labels))


def _missing(cross: Tensor, contrast: Tensor, labels: Tensor) -> Tensor:
    """D from ``cross``, the scalar products of all features with the weighted class contrasts.

    With the contrasts M as rows, S_B = M^T M and S_B^+ = M^T G^(+2) M for G = M M^T. So
    tr(S_W S_B^+) is the mean square of R M^T G^+, with the distances R from the class mean.
    """
    labels = labels.double()
    apart = cross - labels @ (labels.mT @ cross / labels.sum(-2)[:, None])
    gram = contrast @ cross
    lost = ~torch.isfinite(gram).all(-1).all(-1)  # eigh would stop all networks for one
    size, axes = torch.linalg.eigh(torch.where(lost[..., None, None], 0.0, gram))
    seen = size > CUTOFF * size[..., -1:]
    inverse = torch.where(seen, 1 / torch.where(seen, size, 1), 0)
    ratio = (apart @ axes * inverse[..., None, :]).square().sum((-2, -1)) / len(labels)
    return torch.where(lost | ~seen.any(-1), torch.nan, ratio.log())


def _normalized(kernel: Tensor) -> Tensor:
    """What batch normalization leaves of a kernel: mean 0 over samples, variance 1 on average."""
    rows = kernel.mean(-1, keepdim=True)
    centered = kernel - rows - rows.mT + rows.mean(-2, keepdim=True)
    return centered / centered.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]


def _leaky(kernel: Tensor, slope: Tensor) -> Tensor:
    """<f(u) f(v)> over Gaussian u, v for f(u) = a u + b |u|, as u |v| averages to 0."""
    power = kernel.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    scale = (power[..., :, None] * power[..., None, :]).sqrt()
    # a sample at the mean of all has no length, and no angle
    cosine = torch.where(scale > 0, kernel / torch.where(scale > 0, scale, 1.0), 0.0).clamp(-1, 1)
    both = 2 / math.pi * scale * ((1 - cosine**2).sqrt() + cosine * cosine.asin())
    return ((1 + slope) / 2) ** 2 * kernel + ((1 - slope) / 2) ** 2 * both


def _or_zero(value: Tensor) -> Tensor | float:
    """Plain 0 where nothing is ever drawn, which saves the draws."""
    return value if bool((value > 0).any()) else 0.0
