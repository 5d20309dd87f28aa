"""Arguments for ``bad_arguments`` where the annotations do not say enough, made anew each time."""

import tempfile

import matplotlib.pyplot as plt
import torch

from toymodels import (
    attention_heads,
    coarse_graining,
    data_separation,
    deep_linear,
    distribution_shift,
    finite_width,
    invariant_capacity,
    kernel_alignment,
    lattice,
    lazy_training,
    mean_field,
    oscillator,
    phenomena,
    population_codes,
    residual_depth,
    scaling_laws,
    sgd_features,
    signal_propagation,
    silent_alignment,
    tangent_fluctuations,
    temporal_difference,
    tower,
    tree,
)
from toymodels.kernel_regression import KernelRegression
from toymodels.networks import GradientDescent, Perceptron
from toymodels.networks.data import Samples
from toymodels.numerics.estimate import Estimate
from toymodels.numerics.origin import marked

DOUBLE = torch.float64


def row(*numbers):
    return lambda: torch.tensor(numbers, dtype=DOUBLE)


def weights():
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 3), (2, 1, 4)]
    return [torch.randn(s, generator=generator, dtype=DOUBLE) / 2 for s in shapes]


def samples():
    return Samples(torch.eye(3, dtype=DOUBLE), torch.ones(3, 1, dtype=DOUBLE))


NETWORK = {"network": lambda: Perceptron(torch.tanh), "weights": weights}
INPUTS = {"inputs": lambda: torch.eye(3, dtype=DOUBLE)}
WIDTHS = {"widths": lambda: [3, 4, 4, 1]}
SHAPE = {"shape": lambda: (2, 3)}
NUMERICS, NETWORKS = "toymodels.numerics", "toymodels.networks"


def shells():
    """Three degrees on a sphere."""
    return KernelRegression([1.0, 0.5, 0.1], [1.0, 0.5, 0.2], degeneracy=[1, 3, 5], ridge=0.1)


def descent():
    """Three features, batches of two."""
    return sgd_features.FeatureSGD([1.0, 0.5, 0.1], [1.0, -1.0, 2.0], 0.3, 2, 0.1)


def lessons():
    """Two data sets of four samples."""
    return sgd_features.draw_data(descent(), 4, seed=0, members=2)


def swing():
    return oscillator.experiment(oscillator.Oscillator([0.5], 1.0, 1.0), 20, seed=0)


def lesson():
    """Two of four directions are learned."""
    direction = torch.cat([torch.eye(2), -torch.eye(2)]).to(DOUBLE)
    return signal_propagation.Lesson(direction, row(1.0, 0.0, -1.0, 0.0)(), 2)


# every kernel rests in a linear network of unit variance without biases
RESTING = {
    "model": lambda: signal_propagation.WideNetwork(None, row(1.0, 1.0)()),
    "kernel": row(0.5, 0.7),
}


def slanted():
    """A tanh network whose biases learn."""
    return tangent_fluctuations.TangentNetwork(torch.tanh, 1.0, bias_rate=1.0)


def voters():
    """Three heads of four entries, two tokens."""
    return attention_heads.Heads(row(1.0, 0.0)(), 0.7, 1.0, 4, 3)


def vectors():
    return attention_heads.start(voters(), seed=0, members=2)


def copied():
    """Two trees of three children, one noisier."""
    return coarse_graining.NoisyTree(row(0.1, 0.2)())


LEAVES = {"leaves": row(1, -1, 1), "model": lambda: coarse_graining.NoisyTree(0.1)}


def layers():
    """Two members of a linear network with two modes."""
    return deep_linear.gaussian(2, members=2, width=3, depth=2, scale=0.1, seed=0)


def modes():
    return deep_linear.DeepLinear(row(3.0, 1.0)(), start=0.05)


def clouds():
    return data_separation.clusters(
        seed=0, classes=2, clusters=4, inputs=3, spread=0.2, samples=12, test_samples=6
    )


def classifiers():
    return data_separation.Classifier(2, 4, slope=row(0.2, 0.5)())


def fields(activation=torch.tanh):
    kernel = torch.tensor([[1.0, 0.3], [0.3, 1.0]], dtype=DOUBLE)
    return mean_field.MeanField(kernel, row(1.0, -0.5)(), 1.0, activation=activation)


def lazy():
    """Three samples of two inputs, erf."""
    inputs = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], dtype=DOUBLE)
    return lazy_training.LazyNetwork(inputs, row(1.0, -0.5, 0.5)(), torch.erf)


def lazily():
    return lazy_training.theory(lazy(), row(0.0, 0.5, 1.0)())


def marched():
    return mean_field.theory(fields(), 3, step=0.05, points=256)


def white():
    """A deep linear network on white data."""
    return mean_field.MeanField(torch.eye(2, dtype=DOUBLE), row(1.0, -0.5)(), 0.1, 2)


def turning():
    """Two outputs on two samples."""
    kernel = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=DOUBLE)
    label = torch.tensor([[1.0, -0.5], [0.5, 0.5]], dtype=DOUBLE)
    return kernel_alignment.AligningFeatures(kernel, label, 2.0)


def turned():
    return kernel_alignment.theory(turning(), row(0.0, 0.5)())


def two_layers():
    label = torch.tensor([[1.0, -0.5], [0.5, 0.5]], dtype=DOUBLE)
    return kernel_alignment.TwoLayers(torch.eye(2, dtype=DOUBLE), label, 1.0)


def stream():
    """A residual network of two branches."""
    return residual_depth.ResidualLinear(2, exponent=row(0.5, 1.0)())


def levels():
    start = row(0.3, 0.2)()
    return tower.upright_start(row(1.0, 0.5)(), start, dimension=6, size=0.3)


def networks():
    """Five features, three neurons, four samples."""
    return scaling_laws.ScalingLaw(row(1.0, 0.5, 0.3, 0.2, 0.1)(), row(1.0, 1, 1, 1, 1)(), 3, 4)


def fresh_networks():
    return scaling_laws.ScalingLaw(row(1.0, 0.5, 0.3)(), row(1.0, 1.0, 1.0)(), 2, noise=0.1)


def stairs():
    return phenomena.task(4, [phenomena.TASKS["staircase"]])


def branches():
    return tree.Tree((-1, 0, 0), row(2.0, 1.0, 0.5)(), row(0.1, 0.1, 0.1)(), row(0.2, 0.2, 0.2)())


def diamond():
    """The lattice of two coordinates."""
    return lattice.Lattice(2, 2, row(1.0, 0.7, 0.5)(), row(0, 0, 0)(), row(0.3, 0.3, 0.3, 0.3)())


def quarter_turns():
    """The shifts of four neurons on a circle."""
    return invariant_capacity.regular([4])


def one_channel():
    return invariant_capacity.InvariantReadout(1)


def ring():
    """Four neurons on a ring."""
    return population_codes.RingCode(row(1.0, 0.5, 0.1, 0.4)())


def readout():
    return population_codes.Readout(ring(), row(1.0, 0.2, -0.5, -0.7)(), ridge=0.1)


def guesser():
    """Two modes of fading memory."""
    covariance = temporal_difference.fading_memory(row(1.0, 0.5)(), row(0.8, 0.3)(), 3)
    return temporal_difference.TemporalDifference(covariance, row(1.0, 0.5)(), 0.8, 0.05, 2)


def world():
    """A walk on a circle of four places, with a table of two."""
    features = torch.eye(4, 2, dtype=DOUBLE) + 0.1
    process = temporal_difference.RewardProcess
    return process(temporal_difference.ring(4, 0.7), features, row(1.0, 0, 0, 0)(), 0.8, 0.1, 2, 3)


def measured():
    """An average that came out of an experiment."""
    return Estimate(marked(row(1.01, 0.49)(), "experiment"), row(0.01, 0.01)(), 9)


CODE = {"code": ring}


def shifted():
    """Four points whose test has other weights than their training."""
    kernel = torch.tensor([[1.0, 0.5], [0.5, 1.0]], dtype=DOUBLE)
    return distribution_shift.KernelShift(
        kernel, row(1.0, -0.5)(), row(0.6, 0.4)(), row(0.2, 0.8)(), ridge=0.1
    )


def straight():
    """White inputs before a test that is not white."""
    eye = torch.eye(2, dtype=DOUBLE)
    return distribution_shift.LinearShift(eye, eye / 2, row(1.0, -0.5)(), noise=0.1)


def silence():
    """A linear network of two inputs that starts small."""
    return silent_alignment.SmallStart(
        torch.eye(2, dtype=DOUBLE), row(1.0, -0.5)(), row(0.1, 0.2)()
    )


def any_layers():
    """The same with layers of any weights."""
    eye = torch.eye(2, dtype=DOUBLE)
    return silent_alignment.AnyStart(eye, row(1.0, -0.5)(), row(0.1, 0.2)(), eye)


def fallen():
    """Records on the way down."""
    return silent_alignment.theory(silence(), torch.linspace(0, 4, 9, dtype=DOUBLE))


def quadratic():
    """Four samples of two inputs."""
    inputs = torch.tensor([[1.0, 0.5], [0.2, -1.0], [0.3, 0.4], [1.5, 1.0]], dtype=DOUBLE)
    return silent_alignment.LazyStart(inputs, row(1.0, -0.5)(), 0.3, 0.1)


def two_linear_layers():
    return silent_alignment.gaussian(2, members=2, width=3, depth=2, scale=0.5, seed=0)


PLANE = {"covariance": lambda: torch.eye(2, dtype=DOUBLE), "target": row(1.0, -0.5)}
CHECK = {"name": lambda: "half of it", "within": lambda: 3}
SIDES = {"predicted": row(1.0, 0.5), "measured": measured}
PARENT = {"parent": lambda: (-1, 0, 0)}
SETS, EDGES = {"dimension": lambda: 2, "degree": lambda: 2}, row(0.3, 0.3, 0.3, 0.3)
SHIFTS = ("regular", "grid_code")
VALLEY = {"log_rate": row(-1.0, 0.0, 1.0)}
LAZY = {"model": lazy, "others": lambda: torch.eye(2, dtype=DOUBLE)}
TOWER = {"model": levels, "dimension": lambda: 8}
FEATURES = {"features": lambda: clouds().inputs, "labels": lambda: clouds().labels}
TRAINED = {"model": classifiers, "data": clouds, "record": lambda: torch.tensor([0, 2])}

GOOD = {
    "toymodels.attention_heads.Heads": {
        "value": row(1.0, 0.0),
        "label": lambda: 0.7,
        "key_dimension": lambda: 4,
        "heads": lambda: 3,
    },
    "toymodels.attention_heads.theory": {
        "model": lambda: attention_heads.Heads(row(1.0, 0.0)(), 0.7, 0.5, 4),
        "points": lambda: 16,
    },
    "toymodels.attention_heads.law": {
        "model": lambda: attention_heads.Heads(row(1.0, 0.0)(), 0.7, 0.5),
        "points": lambda: 16,
    },
    "toymodels.attention_heads.start": {"model": voters},
    "toymodels.attention_heads.overlaps": {"model": voters, "weights": vectors},
    "toymodels.attention_heads.experiment": {"model": voters},
    "toymodels.deep_linear.DeepLinear": {"target": row(3.0, 1.0), "start": lambda: 0.05},
    "toymodels.deep_linear.train_from": {"weights": layers, "target": row(3.0, 1.0)},
    "toymodels.deep_linear.as_started": {"weights": layers, "target": row(3.0, 1.0)},
    "toymodels.deep_linear.staircase": {
        "target": lambda: torch.eye(3, dtype=DOUBLE),
        "covariance": lambda: torch.eye(3, dtype=DOUBLE),
    },
    "toymodels.deep_linear.imbalances": {"weights": layers},
    "toymodels.data_separation.within_between": FEATURES,
    "toymodels.data_separation.separation": FEATURES,
    "toymodels.data_separation.theory": {"model": classifiers, "data": clouds},
    "toymodels.data_separation.experiment": TRAINED,
    "toymodels.data_separation.diagram": TRAINED | {"noise": lambda: {"rate": row(0.01, 0.1)()}},
    "toymodels.data_separation.clusters": {
        "inputs": lambda: 3,
        "samples": lambda: 12,
        "test_samples": lambda: 6,
    },
    "toymodels.data_separation.standardized": {
        "points": lambda: torch.arange(12.0).reshape(4, 3).double(),
        "label": lambda: torch.tensor([0, 1, 0, 1]),
        "samples": lambda: 3,
    },
    "toymodels.invariant_capacity.InvariantReadout": {"dimension": lambda: 3},
    **{
        f"toymodels.invariant_capacity.{name}": {"model": one_channel, "patterns": lambda: [2, 4]}
        for name in ("theory", "theory_of_pairs", "experiment", "pairs_experiment")
    },
    "toymodels.invariant_capacity.pooling_experiment": {
        "model": one_channel,
        "patterns": lambda: [2, 4],
        "positions": lambda: 4,
        "window": lambda: 2,
    },
    "toymodels.invariant_capacity.fixed_dimension": {"representation": quarter_turns},
    "toymodels.invariant_capacity.copies": {
        "representation": quarter_turns,
        "channels": lambda: 2,
    },
    **{f"toymodels.invariant_capacity.{name}": {"orders": lambda: [2, 3]} for name in SHIFTS},
    **{
        f"toymodels.invariant_capacity.{name}": {
            "representation": quarter_turns,
            "x": lambda: torch.eye(4, dtype=DOUBLE),
        }
        for name in ("orbits", "centroids")
    },
    "toymodels.invariant_capacity.separable": {
        "points": lambda: torch.eye(3, dtype=DOUBLE),
        "labels": row(1.0, -1.0, 1.0),
    },
    "toymodels.invariant_capacity.count_separable": {
        "points": lambda: torch.eye(3, dtype=DOUBLE)[:, None]
    },
    "toymodels.kernel_alignment.AligningFeatures": {
        "kernel": lambda: torch.eye(2, dtype=DOUBLE),
        "label": row(1.0, -0.5),
    },
    **{
        f"toymodels.kernel_alignment.{name}": {"model": turning}
        for name in ("theory", "settled", "together", "experiment")
    },
    "toymodels.kernel_alignment.invariant": {"model": turning, "seen": turned},
    "toymodels.kernel_alignment.alignment": {
        "kernel": lambda: torch.eye(2, dtype=DOUBLE),
        "label": row(1.0, -0.5),
    },
    "toymodels.kernel_alignment.TwoLayers": {
        "inputs": lambda: torch.eye(2, dtype=DOUBLE),
        "label": lambda: torch.ones(1, 2, dtype=DOUBLE),
    },
    **{
        f"toymodels.kernel_alignment.{name}": {"model": two_layers}
        for name in ("wide_linear", "trained")
    },
    "toymodels.lazy_training.LazyNetwork": {"inputs": lambda: torch.eye(3, dtype=DOUBLE)},
    **{f"toymodels.lazy_training.{name}": LAZY for name in ("theory", "experiment", "scatter")},
    "toymodels.lazy_training.wide_kernels": LAZY,
    "toymodels.lazy_training.layer_kernels": {"model": lazy},
    **{
        f"toymodels.lazy_training.{name}": {"model": lazy, "seen": lazily}
        for name in ("linearised", "decay_rate")
    },
    "toymodels.lazy_training.smooth_drift": {"activation": lambda: torch.erf},
    "toymodels.coarse_graining.NoisyTree": {"flip": row(0.1, 0.2), "branching": lambda: 3},
    **{f"toymodels.coarse_graining.{name}": LEAVES for name in ("majority", "census", "belief")},
    **{
        f"toymodels.coarse_graining.{name}": {
            "model": copied,
            "depth": lambda: torch.tensor([1, 2]),
        }
        for name in ("theory", "experiment")
    },
    **{
        f"toymodels.coarse_graining.{name}": {"branching": lambda: 3}
        for name in ("threshold", "optimal_threshold", "vote_slope")
    },
    "toymodels.coarse_graining.fixed_point": {"model": copied},
    "toymodels.mean_field.MeanField": {"kernel": lambda: torch.eye(3, dtype=DOUBLE)},
    "toymodels.mean_field.theory": {"model": fields, "points": lambda: 256},
    "toymodels.mean_field.experiment": {"model": fields},
    "toymodels.mean_field.independent": {"model": fields, "neurons": lambda: 60},
    "toymodels.mean_field.follow": {
        "model": fields,
        "fields": marched,
        "h": lambda: torch.ones(4, 2, dtype=DOUBLE),
        "z": lambda: torch.ones(4, dtype=DOUBLE),
    },
    "toymodels.mean_field.alignment": {"model": fields, "fields": marched},
    "toymodels.mean_field.growth": {"model": fields, "fields": marched},
    "toymodels.mean_field.leading_order": {"model": white},
    "toymodels.residual_depth.ResidualLinear": {"depth": lambda: 3},
    **{
        f"toymodels.residual_depth.{name}": {"model": stream}
        for name in ("theory", "continuum", "start_kernel", "experiment")
    },
    **{
        f"toymodels.residual_depth.{name}": {
            "scaling": lambda: "exponent 1",
            "log_rate": rates,
            "depth": lambda: 2,
            "width": lambda: 4,
            "lesson": lambda: residual_depth.Lesson(3, 4, 2),
        }
        for name, rates in (("transfer", row(-3.0, -2.0, -1.0)), ("learned", lambda: -3.0))
    },
    "toymodels.residual_depth.optimum": VALLEY | {"loss": row(2.0, 1.0, 1.5)},
    "toymodels.residual_depth.best_rate": VALLEY
    | {"loss": lambda: row(2.0, 1.0, 1.5)()[:, None] ** row(1.0, 1.1)() + row(0, 0.1)()},
    "toymodels.distribution_shift.KernelShift": {
        "kernel": lambda: torch.eye(3, dtype=DOUBLE),
        "train": row(0.5, 0.3, 0.2),
        "test": row(0.2, 0.2, 0.6),
    },
    "toymodels.distribution_shift.LinearShift": {
        "train_covariance": lambda: torch.eye(3, dtype=DOUBLE),
        "test_covariance": lambda: torch.eye(3, dtype=DOUBLE),
    },
    **{
        f"toymodels.distribution_shift.{name}": {"model": shifted}
        for name in ("theory", "resolvent_theory", "modes", "train_slope")
    },
    **{
        f"toymodels.distribution_shift.{name}": {"model": shifted, "temperature": lambda: 0.5}
        for name in ("beneficial_test", "adversarial_test", "optimal_train")
    },
    **{
        f"toymodels.distribution_shift.{name}": {"model": shifted, "weight": row(1.0, 2.0)}
        for name in ("local_theory", "experiment")
    },
    "toymodels.distribution_shift.finite_shift": {"model": straight, "samples": row(1.0, 5.0)},
    "toymodels.distribution_shift.network_experiment": {
        "model": shifted,
        "inputs": lambda: torch.eye(2, dtype=DOUBLE),
        "activation": lambda: torch.tanh,
        "width": lambda: 4,
        "steps": lambda: 2,
    },
    "toymodels.temporal_difference.TemporalDifference": {
        "covariance": lambda: guesser().covariance,
        "reward": row(1.0, 0.5),
    },
    "toymodels.temporal_difference.RewardProcess": {
        "transition": lambda: world().transition,
        "features": lambda: world().features,
        "reward": row(1.0, 0, 0, 0),
        "start": row(1.0, 0, 0, 0),
    },
    **{
        f"toymodels.temporal_difference.{name}": {"model": guesser}
        for name in ("theory", "experiment", "fixed_point", "plateau")
    },
    **{
        f"toymodels.temporal_difference.{name}": {"process": world}
        for name in (
            "true_value",
            "process_fixed_point",
            "process_theory",
            "process_plateau",
            "process_experiment",
        )
    },
    "toymodels.temporal_difference.ring": {"states": lambda: 4},
    "toymodels.tower.Tower": {
        "target": row(1.0, 0.5),
        "readout": row(0.3, 0.2),
        "signal": lambda: torch.eye(2, dtype=DOUBLE),
        "residual": lambda: torch.eye(2, dtype=DOUBLE),
    },
    **{f"toymodels.tower.{name}": {"model": levels} for name in ("theory", "rates")},
    **{f"toymodels.tower.{name}": TOWER for name in ("experiment", "sampled", "embedded")},
    "toymodels.tower.train_from": {
        "weights": lambda: tower.embedded(levels(), dimension=6, seed=0, members=2),
        "model": levels,
    },
    "toymodels.tower.invariants": {
        "seen": lambda: tower.theory(levels(), row(0.0, 1.0)()),
        "above": lambda: (-1, 0),
    },
    **{
        f"toymodels.phenomena.{name}": {"model": stairs, "hidden": lambda: 2}
        for name in ("theory", "experiment", "half_time")
    },
    "toymodels.phenomena.row": {
        "candidate": lambda: phenomena.CANDIDATES["alternating flows"],
        "full": lambda: phenomena.stored().runs,
    },
    "toymodels.phenomena.run": {
        "point": lambda: {"run": "by_strength", "candidate": "kernel ridge"},
        "scale": lambda: phenomena.Scale(members=2),
    },
    **{f"toymodels.tree.{name}": PARENT for name in ("Tree", "products", "balanced", "invariant")},
    **{f"toymodels.tree.{name}": PARENT for name in ("plateau", "staircase")},
    **{f"toymodels.tree.{name}": {"model": branches} for name in ("theory", "half_time")},
    "toymodels.tree.tangent_kernel": {"model": branches},
    "toymodels.tree.experiment": {"model": branches, "samples": lambda: 6},
    "toymodels.lattice.Lattice": SETS
    | {"target": row(1.0, 0.7, 0.5), "readout": row(0, 0, 0), "edge": EDGES},
    "toymodels.lattice.LatticeNetwork": SETS,
    "toymodels.lattice.asleep": SETS | {"target": row(1.0, 0.7, 0.5), "start": lambda: 0.1},
    "toymodels.lattice.products": SETS | {"edge": EDGES},
    "toymodels.lattice.shares": SETS | {"edge": EDGES, "subset": lambda: (1, 2)},
    "toymodels.lattice.invariant": SETS | {"readout": row(0.1, 0.2, 0.3), "edge": EDGES},
    **{
        f"toymodels.lattice.{name}": SETS | {"target": row(1.0, 0.7, 0.5)}
        for name in ("plateau", "jumps", "leaps")
    },
    **{f"toymodels.lattice.{name}": {"model": diamond} for name in ("theory", "half_time")},
    **{
        f"toymodels.lattice.{name}": {"model": diamond, "samples": lambda: 6}
        for name in ("experiment", "training_sets")
    },
    "toymodels.scaling_laws.ScalingLaw": {
        "eigenvalue": row(1.0, 0.5),
        "target": row(1.0, 0.7),
        "samples": lambda: 4.0,
    },
    **{
        f"toymodels.scaling_laws.{name}": {"model": networks}
        for name in ("theory", "experiment", "responses", "largest_step")
    },
    "toymodels.scaling_laws.compute_frontier": {"model": fresh_networks, "compute": row(2.0, 9.0)},
    **{
        f"toymodels.scaling_laws.online_{side}": {"model": fresh_networks, "step": row(0.1, 0.05)}
        for side in ("theory", "experiment")
    },
    "toymodels.scaling_laws.power_law_shells": {
        "source": lambda: 2.0,
        "capacity": lambda: 1.5,
        "modes": lambda: 50,
    },
    "toymodels.sweeps.grid.sweep": {
        "function": lambda: lambda width: width / 2,
        "grid": lambda: {"width": [1, 2]},
        "store": tempfile.mkdtemp,
    },
    "toymodels.page.claim.claim": CHECK | SIDES | {"null": row(2.0, 0.0)},
    "toymodels.page.claim.departs": {
        "name": lambda: "fails",
        "predicted": row(2.0, 0.9),
        "measured": measured,
        "beyond": lambda: 5,
    },
    "toymodels.page.claim.identity": CHECK | {"one": row(1.0, 0.5), "other": row(1.0, 0.5)},
    "toymodels.page.exercise.Exercise": {
        "solution": lambda: 0.5,
        "mistakes": lambda: {"Twice as large.": 1.0, "Half as large.": 0.25},
    },
    "toymodels.page.slider.slider": {
        "x": row(0.0, 1.0, 2.0),
        "curves": lambda: {"u": torch.eye(3, dtype=DOUBLE)},
        "values": row(1.0, 2.0, 3.0),
        "name": lambda: "fig-slider",
    },
    "toymodels.page.style.finish": {"figure": plt.figure},
    "toymodels.page.style.points": {
        "axes": lambda: plt.figure().gca(),
        "x": row(0.0, 1.0),
        "measured": measured,
    },
    "toymodels.kernel_regression.sphere_experiment": {
        "model": shells,
        "kernel": lambda: torch.exp,
        "dimension": lambda: 3,
    },
    "toymodels.population_codes.RingCode": {"tuning": row(1.0, 0.5, 0.1)},
    "toymodels.population_codes.PopulationCode": {"response": lambda: torch.eye(3, dtype=DOUBLE)},
    "toymodels.population_codes.Readout": {
        "code": ring,
        "target": row(1.0, 0.2, -0.5, -0.7),
    },
    "toymodels.population_codes.population": CODE,
    "toymodels.population_codes.overlap": CODE,
    "toymodels.population_codes.spectrum": CODE,
    "toymodels.population_codes.alignment": CODE | {"target": row(1.0, 0.2, -0.5, -0.7)},
    "toymodels.population_codes.rotated": CODE,
    "toymodels.population_codes.firing": CODE,
    "toymodels.population_codes.regression": {"model": readout},
    "toymodels.population_codes.theory": {"model": readout},
    "toymodels.population_codes.experiment": {"model": readout},
    "toymodels.population_codes.bump": {"threshold": lambda: 0.2},
    "toymodels.population_codes.gratings": {"orientations": lambda: 3, "phases": lambda: 4},
    "toymodels.population_codes.simple_cells": {"threshold": lambda: 0.2},
    "toymodels.population_codes.mixture": {
        "one": lambda: population_codes.population(ring()),
        "other": lambda: population_codes.population(ring()),
        "share": lambda: 0.3,
    },
    "toymodels.population_codes.recurrent_code": {
        "neurons": lambda: 5,
        "steps": lambda: 10,
        "every": lambda: 2,
    },
    "toymodels.population_codes.moments": {"steps": lambda: 10, "every": lambda: 2},
    "toymodels.oscillator.winding": {"motion": swing},
    "toymodels.oscillator.orbit": {"model": lambda: oscillator.Oscillator([0.5], 1.0, quartic=0.1)},
    "toymodels.sgd_features.FeatureSGD": {
        "eigenvalue": row(1.0, 0.5, 0.1),
        "target": row(1.0, -1.0, 2.0),
        "step": lambda: 0.3,
        "batch_size": lambda: 2,
    },
    **{
        f"toymodels.sgd_features.{name}": {"model": descent}
        for name in ("theory", "transfer", "plateau", "largest_step")
    },
    "toymodels.sgd_features.experiment": {"model": descent},
    "toymodels.sgd_features.at_compute": {
        "model": descent,
        "compute": lambda: 12,
        "batch_size": lambda: torch.tensor([1, 3]),
    },
    "toymodels.sgd_features.best_batch": {"model": descent, "compute": lambda: 12},
    "toymodels.sgd_features.draw_data": {"model": descent, "samples": lambda: 4},
    **{
        f"toymodels.sgd_features.{name}": {"model": descent, "data": lessons}
        for name in ("reuse", "reuse_experiment")
    },
    "toymodels.silent_alignment.SmallStart": PLANE | {"start": row(0.1, 0.2)},
    "toymodels.silent_alignment.AnyStart": PLANE
    | {"weight": row(0.1, 0.2), "kernel": lambda: torch.eye(2, dtype=DOUBLE)},
    **{
        f"toymodels.silent_alignment.{name}": {"model": silence}
        for name in ("theory", "experiment")
    },
    "toymodels.silent_alignment.two_layers": {"model": any_layers},
    "toymodels.silent_alignment.at_loss": {"model": any_layers, "share": row(0.9, 0.5)},
    "toymodels.silent_alignment.balanced_kernel": {"weight": row(0.1, 0.2), "depth": lambda: 2},
    "toymodels.silent_alignment.wide_start": PLANE | {"scale": lambda: 0.2},
    "toymodels.silent_alignment.as_started": PLANE | {"weights": two_linear_layers},
    "toymodels.silent_alignment.train_from": PLANE | {"weights": two_linear_layers},
    "toymodels.silent_alignment.gaussian": {
        "inputs": lambda: 2,
        "depth": lambda: 2,
        "scale": lambda: 0.5,
    },
    "toymodels.silent_alignment.since": {"seen": fallen, "share": lambda: 0.9},
    "toymodels.silent_alignment.read_at": {"seen": fallen, "share": row(0.9, 0.5)},
    "toymodels.silent_alignment.cosine": {
        "one": lambda: torch.eye(2, dtype=DOUBLE),
        "other": lambda: torch.ones(2, 2, dtype=DOUBLE),
    },
    "toymodels.silent_alignment.stretch": {
        "kernel": lambda: torch.eye(2, dtype=DOUBLE),
        "axis": row(1.0, -0.5),
    },
    "toymodels.silent_alignment.regression": {
        "gram": lambda: torch.eye(2, dtype=DOUBLE),
        "cross": lambda: torch.ones(3, 2, dtype=DOUBLE),
        "label": row(1.0, -0.5),
    },
    "toymodels.silent_alignment.predictors": {
        "weights": two_linear_layers,
        "inputs": lambda: torch.eye(2, dtype=DOUBLE),
        "label": row(1.0, -0.5),
        "points": lambda: torch.ones(3, 2, dtype=DOUBLE),
        "network": lambda: Perceptron(torch.tanh),
    },
    "toymodels.silent_alignment.LazyStart": {
        "inputs": lambda: torch.eye(3, 2, dtype=DOUBLE),
        "target": row(1.0, -0.5),
        "scale": lambda: 0.3,
    },
    **{
        f"toymodels.silent_alignment.{name}": {"model": quadratic}
        for name in ("drained", "drained_experiment")
    },
    **{
        f"toymodels.finite_width.{name}": {
            "model": lambda: finite_width.FiniteWidth(None, row(1.0, 1.0)(), 0.1, 4),
            "kernel": row(0.5, 0.7),
        }
        for name in ("theory", "experiment", "metric")
    },
    "toymodels.finite_width.metric_moment": {"activation": lambda: torch.relu},
    "toymodels.finite_width.log_norm_moments": {"activation": lambda: torch.relu},
    "toymodels.finite_width.mutual_information": {
        "strength": row(0.5, 1.0, 2.0),
        "outputs": lambda: 2,
        "share": row(1.0, 2.0, 1.0),
    },
    "toymodels.signal_propagation.Lesson": {
        "direction": lambda: torch.eye(3, dtype=DOUBLE),
        "label": row(1.0, 0.0, -1.0),
        "learned": lambda: 2,
    },
    "toymodels.signal_propagation.resting_kernels": RESTING
    | {"cosine": lambda: torch.eye(2, dtype=DOUBLE)},
    **{
        f"toymodels.signal_propagation.{name}": RESTING | {"lesson": lesson}
        for name in ("lazy_training", "training_rate", "real_training")
    },
    "toymodels.signal_propagation.marginal": {
        "activation": lambda: torch.tanh,
        "kernel": row(0.5),
        "susceptibility": lambda: signal_propagation.parallel,
    },
    **{
        f"toymodels.tangent_fluctuations.{name}": {"model": slanted}
        for name in ("theory", "experiment", "differentials", "networks")
    },
    "toymodels.tangent_fluctuations.linear_lesson": {
        "step": lambda: torch.tensor([0, 2]),
        "label": lambda: 1.0,
        "pace": lambda: 0.5,
    },
    "toymodels.tangent_fluctuations.real_lesson": {
        "model": slanted,
        "step": lambda: torch.tensor([0, 2]),
        "label": lambda: 1.0,
        "rate": lambda: 0.1,
    },
    f"{NETWORKS}.data.Batches": {"samples": samples, "size": lambda: 2},
    f"{NETWORKS}.ensemble.train": {
        "weights": weights,
        "data": samples,
        "rule": lambda: GradientDescent(0.1),
        "record": lambda: torch.tensor([0, 2]),
        "observe": lambda: {"loss": lambda state: state.losses()},
    },
    **{f"{NETWORKS}.parameterization.{name}": WIDTHS for name in ("standard", "tangent")},
    **{f"{NETWORKS}.parameterization.{name}": WIDTHS for name in ("mean_field", "residual")},
    f"{NETWORKS}.rules.WeightDecay": {"rule": lambda: GradientDescent(0.1)},
    f"{NETWORKS}.tangent.tangent_kernel": NETWORK | INPUTS,
    f"{NETWORKS}.tangent.feature_kernels": NETWORK | INPUTS,
    **{f"{NUMERICS}.draws.{name}": SHAPE for name in ("normal", "uniform")},
    f"{NUMERICS}.draws.integers": SHAPE | {"high": lambda: 5},
    **{f"{NUMERICS}.contour.{name}": {"time": row(0.5, 1.0)} for name in ("talbot",)},
    f"{NUMERICS}.contour.invert": {"transform": lambda: lambda z: 1 / (z + 1), "time": row(0.5)},
    f"{NUMERICS}.contour.invert_pair": {
        "transform": lambda: lambda z, w: 1 / (z + 1) / (w + 1),
        "first": row(0.5),
        "second": row(0.7),
    },
    f"{NUMERICS}.estimate.mean": {"samples": row(1.0, 2.0, 4.0), "axis": lambda: 0},
    f"{NUMERICS}.estimate.standard_error": {"samples": row(1.0, 2.0), "axis": lambda: 0},
    f"{NUMERICS}.estimate.fraction": {
        "hits": lambda: torch.tensor([True, False, True]),
        "axis": lambda: 0,
    },
    f"{NUMERICS}.estimate.slope": {
        "x": row(0.0, 1.0, 2.0),
        "y": lambda: Estimate(row(1.0, 2.0, 3.1)(), row(0.1, 0.1, 0.1)(), 9),
    },
    f"{NUMERICS}.clock.first_passage": {"path": row(0.0, 0.4, 1.0), "level": lambda: 0.5},
    f"{NUMERICS}.expectation.pair_average": {
        "first": lambda: torch.tanh,
        "second": lambda: torch.relu,
        "first_variance": row(1.0),
        "second_variance": row(2.0),
        "covariance": row(0.5),
    },
    f"{NUMERICS}.expectation.pair_table": {"angle": row(0.5, 1.0)},
    f"{NUMERICS}.spectra.sphere_spectrum": {
        "kernel": lambda: torch.exp,
        "dimension": lambda: 3,
        "degrees": lambda: 4,
    },
    f"{NUMERICS}.spectra.measured_spectrum": {"kernel": lambda: torch.eye(3, dtype=DOUBLE)},
    f"{NUMERICS}.spectra.sphere_degeneracy": {"degree": lambda: torch.arange(4)},
    f"{NUMERICS}.integrate.solve": {
        "rate": lambda: lambda t, y: -y,
        "start": row(1.0, 2.0),
    },
    f"{NUMERICS}.fixed_point.solve": {
        "ratio": lambda: lambda x: (1 / x, -torch.ones_like(x)),
        "low": row(0.5),
        "high": row(2.0),
    },
}
