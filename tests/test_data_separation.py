"""Claims of chapters/data_separation.md, one test per claim."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tools.figures_full import clouds
from toymodels.data_separation import (
    Classifier,
    Data,
    LoadCurve,
    clusters,
    diagram,
    experiment,
    separation,
    standardized,
    stored,
    theory,
    within_between,
)
from toymodels.limits.kernels import deeper_kernels
from toymodels.networks.data import Batches, Samples
from toymodels.networks.ensemble import train
from toymodels.networks.loss import cross_entropy
from toymodels.networks.network import Perceptron
from toymodels.networks.parameterization import standard
from toymodels.networks.rules import Adam
from toymodels.numerics import draws

SLOPES = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
START, END = torch.tensor([0]), torch.tensor([0, 6])


def some_data(**changed):
    usual = dict(classes=3, clusters=6, inputs=8, spread=0.7, samples=60, test_samples=50)
    return clusters(seed=2, **(usual | changed))


def some_features(*batch, samples=40, width=7, classes=3, seed=0):
    """Normal features of classes of unlike sizes, and their labels."""
    z = draws.normal(seed, "features", math.prod(batch), (samples, width))
    label = (torch.arange(samples) ** 2 // 7) % classes
    labels = torch.nn.functional.one_hot(label).double()
    shifts = draws.normal(seed, "shifts", 1, (classes, width))[0]
    return z.reshape(*batch, samples, width) + labels @ shifts, labels


# ---- the measure ---------------------------------------------------------------------------------


def test_scatter_matrices_are_the_sums_of_the_source():
    features, labels = some_features(1)
    x, mean = features[0], features[0].mean(0)
    within, between = torch.zeros(7, 7).double(), torch.zeros(7, 7).double()
    for row, label in zip(x, labels, strict=True):
        center = x[labels[:, label.argmax()] == 1].mean(0)
        within += torch.outer(row - center, row - center) / len(x)
        between += torch.outer(center - mean, center - mean) / len(x)
    found = within_between(features, labels)
    torch.testing.assert_close(found[0][0], within)
    torch.testing.assert_close(found[1][0], between)
    torch.testing.assert_close(within + between, torch.cov(x.mT, correction=0))


@pytest.mark.parametrize(("width", "classes"), [(7, 3), (4, 6), (1, 2), (60, 5)])
def test_separation_is_the_trace_with_the_pseudoinverse(width, classes):
    features, labels = some_features(2, 3, width=width, classes=classes)
    within, between = within_between(features, labels)
    product = within @ torch.linalg.pinv(between, rtol=1e-9, hermitian=True)
    expected = product.diagonal(dim1=-2, dim2=-1).sum(-1).log()
    torch.testing.assert_close(separation(features, labels), expected)
    rough = separation(features.float(), labels.float())  # single precision: parts in a million
    torch.testing.assert_close(rough, expected, atol=1e-4, rtol=0)


def test_classes_that_differ_little_along_an_axis_still_differ():
    features, labels = some_features(1, width=2)
    features = features * torch.tensor([1.0, 0.01])  # of variances, four powers of ten
    within, between = within_between(features, labels)
    expected = (within @ torch.linalg.pinv(between, rtol=1e-9, hermitian=True))[0].trace().log()
    torch.testing.assert_close(separation(features, labels), expected[None])
    small, large = torch.linalg.eigvalsh(between)[0]
    assert small < 5e-4 * large


def test_separation_of_two_classes_on_a_line():
    """Standard deviation s on both sides of a gap g: S_W = s^2, S_B = g^2 / 4."""
    noise = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    side = torch.tensor([0, 0, 1, 1])
    features = (3.0 * side + 0.5 * noise)[:, None]
    found = separation(features, nn.functional.one_hot(side).double())
    assert found.item() == pytest.approx(math.log(0.5**2 / (3.0**2 / 4)))


def test_features_without_any_separation_have_no_number():
    features, labels = some_features(3)
    features[1] = 0.0
    features[2, 5] = math.inf
    assert torch.isnan(separation(features, labels)).tolist() == [False, True, True]


def test_separation_does_not_see_rotation_shift_and_size_but_does_see_shear():
    features, labels = some_features(2)
    turn = torch.linalg.qr(draws.normal(0, "turn", 1, (7, 7))[0]).Q
    same = separation(features, labels)
    torch.testing.assert_close(separation(5.0 * features @ turn + 3.0, labels), same)
    sheared = features * torch.linspace(0.2, 2, 7).double()
    assert (separation(sheared, labels) - same).abs().min() > 0.05


def test_load_and_curvature_by_hand():
    curve = LoadCurve(torch.arange(4), torch.tensor([[3.0, 2.5, 1.5, 0.0], [6.0, 3.0, 1.0, 0.0]]))
    assert curve.load.tolist() == [[0.5, 1.0, 1.5], [3.0, 2.0, 1.0]]
    assert curve.curvature.tolist() == [-0.5, 1.0]
    torch.testing.assert_close(curve.curvature, curve.separation.diff(n=2).mean(-1))


# ---- before training -----------------------------------------------------------------------------


def test_the_start_of_wide_networks_is_that_of_the_kernels():
    """Deviations fall as 1 / width; its square, luck and 1 / directions of the inputs are left."""
    data = some_data(clusters=15, inputs=40, spread=2.0, samples=200)
    ends = []
    for width in (250, 500):
        model = Classifier(2, width, SLOPES)
        ends.append(experiment(model, data, seed=0, members=8, record=START).separation[:, :, 0])
    limit = 2 * ends[1] - ends[0]
    expected = theory(Classifier(2, 7, SLOPES), data).separation
    allowed = 0.05 + 4 * limit.std(1) / 8**0.5
    assert ((limit.mean(1) - expected).abs() < allowed).all() and allowed.max() < 0.25
    assert (expected[0, 2] - expected[0, 0]).abs() > 1.5 * allowed.max()


@pytest.mark.parametrize("slope", [0.0, 0.4, -1.0])
def test_layers_map_the_kernel_as_the_package_knows_it(slope):
    data = some_data()
    curve = theory(Classifier(2, 5, slope), data)
    found = curve.separation
    assert curve.layer.tolist() == [0, 1, 2]
    features, seen = data.inputs, [separation(data.inputs, data.labels)]
    for _ in range(2):
        centered = features - features.mean(0)
        kernel = centered @ centered.mT
        kernel = kernel / kernel.diagonal().mean()
        wide = deeper_kernels(kernel, lambda z: torch.where(z > 0, z, slope * z), 1).nngp
        size, axes = torch.linalg.eigh(wide)
        features = axes * size.clamp(min=0).sqrt()  # any features of these scalar products will do
        seen.append(separation(features, data.labels))
    torch.testing.assert_close(found, torch.stack(seen))


def test_wide_linear_layers_leave_the_separation_alone():
    found = theory(Classifier(5, 5, 1.0), some_data()).separation
    torch.testing.assert_close(found, found[:1].expand(6))


# ---- training ------------------------------------------------------------------------------------


class Peer(nn.Module):
    """The same network in the usual words of PyTorch."""

    def __init__(self, widths, slope, weights):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(a, b).double() for a, b in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(b, momentum=None).double() for b in widths[1:-1])
        self.slope = slope
        for layer, weight in zip(self.layers, weights, strict=True):
            layer.weight.data = weight.clone()
            layer.bias.data.zero_()

    def features(self, x):
        seen = []
        for layer, norm in zip(self.layers, self.norms, strict=False):
            # PyTorch normalizes, then adds its own bias; the linear layer's one is of no effect
            x = nn.functional.leaky_relu(norm(layer(x)), self.slope)
            seen.append(x)
        return seen

    def forward(self, x):
        return self.layers[-1](self.features(x)[-1])


def test_training_is_what_pytorch_does():
    """Layers, batch norm in training and at rest, Adam, loss and accuracies, to rounding."""
    data, widths = some_data(), [8, 5, 5, 3]
    model = Classifier(2, 5, 0.2, rate=0.01)
    seen = experiment(model, data, seed=4, members=2, record=END)
    for network in range(2):
        start = [w[network] for w in standard(widths).start(2, seed=4)]
        peer = Peer(widths, 0.2, start)
        for norm in peer.norms:
            norm.weight.requires_grad_(False)  # without a gain of its own
        moving = [p for p in peer.parameters() if p.requires_grad]
        adam = torch.optim.Adam(moving, lr=0.01)
        answer = data.labels.argmax(-1)
        for _ in range(6):
            adam.zero_grad()
            nn.functional.cross_entropy(peer(data.inputs), answer).backward()
            adam.step()
        with torch.no_grad():
            for norm in peer.norms:
                norm.reset_running_stats()
            peer(data.inputs)  # sets the moments that evaluation uses
            for norm in peer.norms:  # PyTorch's running variance has n - 1 below
                norm.running_var *= 1 - 1 / len(data.inputs)
            peer.eval()
            curve = [separation(f, data.labels) for f in peer.features(data.inputs)]
            right = peer(data.test_inputs).argmax(-1) == data.test_labels.argmax(-1)
            learned = peer(data.inputs).argmax(-1) == answer
        torch.testing.assert_close(
            seen.separation[network, 1, 1:], torch.stack(curve), atol=1e-6, rtol=0
        )
        assert seen.test_accuracy[network, 1] == right.double().mean()
        assert seen.train_accuracy[network, 1] == learned.double().mean()


def test_each_cell_has_its_own_numbers_and_each_network_its_own_start():
    data = some_data()
    model = Classifier(2, 5, SLOPES[:2, None], rate=torch.tensor([1e-3, 1e-2, 3e-2]))
    seen = experiment(model, data, seed=1, members=2, record=END)
    assert seen.separation.shape == (2, 3, 2, 2, 3) and seen.layer.tolist() == [0, 1, 2]
    assert seen.test_accuracy.shape == (2, 3, 2, 2)
    assert seen.separation[0, 0, 0, 0, 1] != seen.separation[0, 0, 1, 0, 1]
    first = replace(model, slope=0.0, rate=1e-3)
    alone = experiment(first, data, seed=1, members=2, record=END)
    torch.testing.assert_close(alone.separation, seen.separation[0, 0])
    moved = (seen.separation[..., 1, :] - seen.separation[..., 0, :]).abs().mean((0, 2, 3))
    assert moved[0] < moved[1] < moved[2]


@pytest.mark.parametrize(
    "noise", ["input_noise", "label_noise", "dropout", "batch_size"], ids=lambda n: n
)
def test_each_noise_is_the_engines(noise):
    """Against a direct call, so that no noise stands in for another."""
    data, widths = some_data(), [8, 5, 5, 3]
    value = 20 if noise == "batch_size" else 0.4
    model = Classifier(2, 5, 0.2, rate=0.01, **{noise: value})
    seen = experiment(model, data, seed=4, members=2, record=END)
    weights = standard(widths).start(2, seed=4)
    weights += [torch.zeros(2, 1, w.shape[-2], dtype=w.dtype) for w in weights]
    lost = value if noise == "dropout" else 0.0
    network = Perceptron(
        lambda z: torch.where(z > 0, z, 0.2 * z), biases=True, normalize=True, dropout=lost
    )
    noisy = {noise: value} if noise.endswith("noise") else {}
    samples = Samples(data.inputs, data.labels, **noisy)
    direct = train(
        weights,
        Batches(samples, value) if noise == "batch_size" else samples,
        network=network,
        loss=cross_entropy,
        rule=Adam(0.01),
        record=END,
        observe={"D": lambda s: separation(s.network.features(s.weights, s.inputs)[1], s.labels)},
        seed=4,
    )
    torch.testing.assert_close(seen.separation[..., 2], direct.observed["D"])
    clean = experiment(
        replace(model, **{noise: None if noise == "batch_size" else 0.0}),
        data,
        seed=4,
        members=2,
        record=END,
    )
    assert (clean.separation[:, 1, 2] - seen.separation[:, 1, 2]).abs().min() > 1e-4


def test_a_diagram_is_slopes_by_values_and_sizes_share_their_starts():
    data = some_data()
    model = Classifier(2, 5, slope=SLOPES[:2], rate=0.01)
    how = {"seed": 1, "members": 2, "record": END}
    values = torch.tensor([0.0, 0.2, 0.5])
    seen = diagram(model, data, {"input_noise": values, "label_noise": values}, **how)
    cells = replace(model, slope=SLOPES[:2, None], input_noise=values, label_noise=values)
    direct = experiment(cells, data, **how)
    torch.testing.assert_close(seen.separation, direct.separation)
    sizes = diagram(model, data, {"batch_size": torch.tensor([20, 7])}, **how)
    assert sizes.separation.shape == (2, 2, 2, 2, 3) and sizes.test_accuracy.shape == (2, 2, 2, 2)
    for k, size in enumerate([20, 7]):
        column = experiment(replace(model, batch_size=size), data, **how)
        torch.testing.assert_close(sizes.test_separation[:, k], column.test_separation)
        torch.testing.assert_close(sizes.train_accuracy[:, k], column.train_accuracy)
    assert (sizes.separation[..., 0, :].diff(dim=1) == 0).all()


def test_held_out_samples_are_measured_with_the_moments_of_training():
    data = some_data()
    model = Classifier(2, 5, 0.2, rate=0.01)
    seen = experiment(model, data, seed=4, members=1, record=END)
    again = replace(data, test_inputs=data.inputs, test_labels=data.labels)
    same = experiment(model, again, seed=4, members=1, record=END)
    torch.testing.assert_close(same.test_accuracy, same.train_accuracy)
    torch.testing.assert_close(same.test_separation, same.separation)
    # one sample at a time has no variance of its own
    one = replace(data, test_inputs=data.test_inputs[:1], test_labels=data.test_labels[:1])
    with pytest.raises(ValueError, match="every class"):
        experiment(model, one, seed=4, members=1, record=END)
    assert seen.test_accuracy[0, 1] != seen.train_accuracy[0, 1]


# ---- data ----------------------------------------------------------------------------------------


def test_clusters_are_clouds_of_a_class_each():
    narrow = some_data(spread=1e-9, samples=200)
    assert narrow.inputs.shape == (200, 8) and narrow.test_inputs.shape == (50, 8)
    clouds, where = torch.unique((narrow.inputs * 1e4).round(), dim=0, return_inverse=True)
    assert len(clouds) == 6
    classes = torch.stack([narrow.labels[where == k].std(0).sum() for k in range(6)])
    assert classes.max() == 0  # one class for each cloud
    owners = torch.stack([narrow.labels[where == k][0] for k in range(6)])
    assert owners.sum(0).tolist() == [2] * 3


def test_clouds_and_points_are_independent_draws_of_the_seed():
    center, noise = (
        draws.normal(2, name, 1, (n, 8))[0] for name, n in (("centers", 6), ("points", 110))
    )
    cloud = draws.integers(2, "clouds", 1, (110,), high=6)[0]
    wanted, found = standardized(center[cloud] + 0.7 * noise, cloud % 3, samples=60), some_data()
    for name in ("inputs", "labels", "test_inputs", "test_labels"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))


def test_inputs_are_standardized_by_the_training_samples():
    points = draws.normal(0, "points", 1, (50, 4))[0] * torch.tensor([1.0, 9.0, 0.1, 0.0]) + 2
    data = standardized(points, torch.arange(50) % 2, samples=30)
    assert data.inputs.shape == (30, 3) and data.test_labels.shape == (20, 2)
    torch.testing.assert_close(data.inputs.mean(0), torch.zeros(3).double())
    torch.testing.assert_close(data.inputs.square().mean(0), torch.ones(3).double())
    scale = points[:30].std(0, correction=0)[:3]
    torch.testing.assert_close(
        data.test_inputs[4] - data.inputs[7], (points[34] - points[7])[:3] / scale
    )
    assert data.labels[5].tolist() == [0, 1]


# ---- the stored diagram --------------------------------------------------------------------------


def test_the_stored_diagram_says_where_it_comes_from_and_can_be_made_again():
    full = stored()
    origin = full.origin
    assert origin["script"] == "tools/figures_full.py" and len(origin["date"]) == 10
    assert {"python", "torch", "numpy"} <= set(origin)
    assert origin["networks"] == 8 * 5 * 6 * 10
    cells = [curve.test_accuracy.shape for x in full.curves.values() for curve in x.values()]
    assert cells == [(5, 6, 10)] * 8
    first = Classifier(slope=origin["slope"][0], **origin["network"])
    first = replace(first, rate=origin["noise"]["rate"][0])
    record = torch.tensor([origin["steps"]])
    again = experiment(first, clouds(), seed=origin["seed"], members=2, record=record)
    then = full.curves["clusters"]["rate"]
    # single precision drifts apart by parts in a hundred over so many steps, see benchmarks
    for name, drift in {"separation": 0.1, "test_separation": 0.1, "test_accuracy": 0.03}.items():
        found, kept = getattr(again, name)[:, 0].double(), getattr(then, name)[0, 0, :2]
        torch.testing.assert_close(found, kept, atol=drift, rtol=0)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (dict(hidden_layers=0), "hidden_layers"),
        (dict(width=0), "width"),
        (dict(dropout=1.0), "dropout"),
        (dict(rate=-1e-3), "rate"),
        (dict(input_noise=math.nan), "input_noise"),
        (dict(label_noise=-0.1), "label_noise"),
        (dict(slope=math.inf), "slope"),
        (dict(slope=torch.ones(2), rate=torch.ones(3)), "broadcast"),
        (dict(batch_size=1), "batch_size must be at least 2"),
    ],
)
def test_wrong_numbers_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        Classifier(**(dict(hidden_layers=2, width=3) | changed))


def test_labels_and_sizes_that_mean_nothing_are_refused():
    features, labels = some_features(1)
    with pytest.raises(ValueError, match="column of the class"):
        separation(features, labels / 2)
    empty = torch.cat([labels, torch.zeros(40, 1).double()], -1)
    with pytest.raises(ValueError, match="every class"):
        separation(features, empty)
    with pytest.raises(ValueError, match="samples"):
        standardized(features[0], labels.argmax(-1), samples=40)
    with pytest.raises(ValueError, match="members"):
        experiment(Classifier(1, 3), some_data(), seed=0, members=0, record=START)


def test_a_network_that_diverges_is_an_error():
    data = some_data()
    broken = Data(data.inputs * 1e200, data.labels, data.test_inputs, data.test_labels)
    with pytest.raises(FloatingPointError):
        experiment(Classifier(1, 3), broken, seed=0, members=1, record=START)


def line_of(points, labels):
    features = torch.tensor(points, dtype=torch.float64)[:, None]
    classes = nn.functional.one_hot(torch.tensor(labels)).double()
    return Data(features, classes, features, classes)


def test_a_sample_at_the_mean_of_all_has_a_limit():
    """Three layers of slope 0.2; the limit was taken with the sample a little off."""
    at, near = (line_of([x, 1.0, -1.0, 2.0, -2.0], [0, 1, 0, 1, 0]) for x in (0.0, 1e-7))
    found, limit = (theory(Classifier(3, 3, 0.2), data).separation for data in (at, near))
    torch.testing.assert_close(found, limit, atol=1e-5, rtol=0)
    assert found[1:].tolist() == pytest.approx([-1.2378, -1.2903, -1.3205], abs=2e-4)


def test_an_offset_does_not_drown_single_precision():
    features, labels = some_features(1)
    far = (features + 100.0).float()
    torch.testing.assert_close(separation(far, labels.float()), separation(far.double(), labels))
    exact = separation(features, labels)
    torch.testing.assert_close(separation(far, labels.float()), exact, atol=1e-3, rtol=0)


def test_numbers_of_a_classifier_keep_their_digits():
    for value in Classifier(2, 3, slope=0.3, rate=[1e-3, 1e-2]).numbers:
        assert value.dtype == torch.float64 and value.shape == (2,)
    assert Classifier(2, 3, slope=0.3).numbers[0].item() == 0.3


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: some_data(spread=math.nan), "spread must be a number"),
        (lambda: some_data(spread=-1.0), "spread must be finite and not negative"),
        (lambda: some_data(classes=-1), "classes must be from 2"),
        (lambda: some_data(classes=7), "classes must be from 2"),
        (lambda: some_data(inputs=0), "inputs must be at least 1"),
        (lambda: within_between([[1.0], [2.0]], [[0.0], [0.0]]), "column of the class"),
        (
            lambda: standardized(torch.ones(20, 2), torch.zeros(12).long(), samples=5),
            "label must have 20 entries along its axis .sample.",
        ),
        (lambda: standardized(torch.ones(20, 2), torch.zeros(20).long(), samples=5), "must vary"),
    ],
)
def test_data_that_mean_nothing_are_refused(call, what):
    with pytest.raises(ValueError, match=what):
        call()
