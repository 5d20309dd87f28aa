"""Claims of chapters/deep_linear.md, one test per claim."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from toymodels.deep_linear import (
    DeepLinear,
    aligned,
    as_started,
    experiment,
    gaussian,
    half_time,
    imbalances,
    staircase,
    theory,
    train_from,
)
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import State, train
from toymodels.networks.rules import GradientFlow
from toymodels.numerics import draws, first_passage
from toymodels.numerics.integrate import solve

TARGET = torch.tensor([[3.0, 2.0, 1.0], [4.0, 1.5, 0.5]], dtype=torch.float64)
KINDS = (torch.float32, torch.float64)
TIME = torch.linspace(0, 6, 50, dtype=torch.float64)
IMBALANCE = torch.tensor([0.3, 0.0, 2.0], dtype=torch.float64).expand(2, 3)


def rate(u, s, depth, c):
    """The differential equation of the chapter, written independently of the solution."""
    if depth == 2:
        return (s - u) * torch.sqrt(c**2 + 4 * u**2)
    return depth * u ** (2 - 2 / depth) * (s - u)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_theory_starts_at_start_and_ends_at_target(depth):
    model = DeepLinear(TARGET, start=0.02, depth=depth)
    ends = torch.tensor([0.0, 1e3], dtype=torch.float64)
    u = theory(model, ends).strength
    torch.testing.assert_close(u[:, 0], torch.full_like(TARGET, 0.02))
    torch.testing.assert_close(u[:, 1], TARGET)


@pytest.mark.parametrize(("depth", "c"), [(1, 0.0), (2, 0.0), (2, IMBALANCE), (3, 0.0), (4, 0.0)])
def test_theory_obeys_its_differential_equation(depth, c):
    model = DeepLinear(TARGET, start=0.05, depth=depth, imbalance=c)
    h = 1e-4
    before, now, after = (theory(model, TIME + h * (k + 1)).strength for k in (-1, 0, 1))
    c = torch.as_tensor(c).expand(2, 3)[:, None]
    expected = rate(now, TARGET[:, None], depth, c)
    torch.testing.assert_close((after - before) / (2 * h), expected, atol=1e-6, rtol=1e-5)


def test_depth_two_is_the_logistic_curve():
    u = theory(DeepLinear(TARGET, start=1e-3), TIME).strength
    s, t = TARGET[:, None], TIME[:, None]
    torch.testing.assert_close(u, s / (1 + (s / 1e-3 - 1) * torch.exp(-2 * s * t)))


def test_theory_and_loss_survive_late_times_and_tiny_starts():
    for depth in (2, 3):
        seen = theory(
            DeepLinear(TARGET, start=1e-9, depth=depth), torch.tensor([0.0, 1.0]).double()
        )
        assert torch.isfinite(seen.strength).all() and (seen.strength > 0).all()
        nothing_learned = 0.5 * TARGET.square().sum(-1)
        torch.testing.assert_close(seen.loss[:, 0], nothing_learned)


def test_a_vanishing_imbalance_changes_nothing():
    balanced, nearly = DeepLinear(TARGET, 1e-3), DeepLinear(TARGET, 1e-3, imbalance=1e-12)
    torch.testing.assert_close(theory(balanced, TIME).strength, theory(nearly, TIME).strength)


def test_a_negative_start_grows_with_the_help_of_an_imbalance():
    model = DeepLinear(TARGET, start=-0.1, imbalance=0.3)
    seen = experiment_flow(model)
    torch.testing.assert_close(seen.strength, theory(model, seen.time).strength, atol=1e-6, rtol=0)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_half_time_is_when_half_is_learned(depth):
    model = DeepLinear(TARGET, start=0.02, depth=depth)
    for problem, time in zip(TARGET, half_time(model), strict=True):
        order = time.argsort()
        u = theory(DeepLinear(problem, 0.02, depth), time[order]).strength
        u = u.gather(-1, order[:, None])[:, 0]
        torch.testing.assert_close(u, problem[order] / 2, atol=1e-9, rtol=1e-9)


def test_a_single_layer_learns_every_mode_at_the_same_rate():
    seen = experiment_flow(DeepLinear(TARGET, start=0.02, depth=1))
    learned = (seen.strength - 0.02) / (TARGET[:, None] - 0.02)
    expected = 1 - torch.exp(-seen.time)[:, None]
    torch.testing.assert_close(learned, expected.expand_as(learned), atol=1e-9, rtol=0)


def test_half_time_of_an_unbalanced_mode():
    target = torch.tensor([2.0], dtype=torch.float64)
    for c in (1e-3, 0.5, 4.0):
        model = DeepLinear(target, start=0.02, imbalance=c)
        u = theory(model, half_time(model)).strength
        torch.testing.assert_close(u[:, 0], target / 2, atol=1e-12, rtol=1e-12)


def test_half_times_worked_out_by_hand():
    found = {
        depth: half_time(DeepLinear(torch.tensor([1.0, 2.0]).double(), 1e-3, depth)).tolist()
        for depth in (2, 3, 4)
    }
    assert found[2] == pytest.approx([3.45338, 1.90010], abs=5e-6)
    assert found[3] == pytest.approx([9.14475, 4.66133], abs=5e-6)
    assert found[4] == pytest.approx([15.52915, 7.80755], abs=5e-6)


def trained(model, time, **how):
    """The experiment with a single member, without the axis of members."""
    seen = experiment(model, time, seed=0, **how)
    return replace(seen, strength=seen.strength[..., 0, :, :], loss=seen.loss[..., 0, :])


def experiment_flow(model):
    time = torch.linspace(0, 3, 16, dtype=torch.float64)
    return trained(model, time, width=6, step=0.005, rule=GradientFlow)


@pytest.mark.parametrize(
    ("depth", "start", "gap"), [(2, 1e-3, 1e-7), (3, 0.01, 1e-6), (4, 0.05, 1e-4)]
)
def test_aligned_networks_follow_the_theory(depth, start, gap):
    model = DeepLinear(TARGET, start, depth)
    seen = experiment_flow(model)
    expected = theory(model, seen.time)
    assert ((seen.strength - expected.strength).abs() / TARGET[:, None]).max() < gap
    torch.testing.assert_close(seen.loss, expected.loss, atol=1e-3 * gap**0.5, rtol=0)


def test_an_imbalanced_network_follows_the_theory():
    model = DeepLinear(TARGET, start=1e-2, imbalance=IMBALANCE)
    seen = experiment_flow(model)
    torch.testing.assert_close(seen.strength, theory(model, seen.time).strength, atol=1e-6, rtol=0)


def test_gradient_descent_converges_to_theory_at_first_order():
    model = DeepLinear(TARGET, start=1e-2)
    time = torch.linspace(0, 4, 41, dtype=torch.float64)

    def gap(step):
        seen = trained(model, time, width=8, step=step)
        return (seen.strength - theory(model, seen.time).strength).abs().max()

    assert torch.log2(gap(2e-3) / gap(1e-3)) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_aligned_start_is_what_it_says(depth):
    c = IMBALANCE if depth == 2 else 0.0
    weights = aligned(DeepLinear(TARGET, 0.1, depth, imbalance=c), width=5, seed=3, members=2)
    assert [w.shape[:2] for w in weights] == [(2, 2)] * depth
    if depth == 3:
        assert not torch.allclose(weights[1][:, 0], weights[1][:, 1])
    weights = [w[:, 1] for w in weights]
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    torch.testing.assert_close(product, torch.diag_embed(torch.full_like(TARGET, 0.1)))
    gains = [w.square().sum(-2).sort(-1).values for w in weights[:1]]
    if depth == 2:
        b = weights[1].square().sum(-1)
        torch.testing.assert_close(weights[0].square().sum(-2) - b, IMBALANCE)
    else:
        torch.testing.assert_close(gains[0], torch.full_like(TARGET, 0.1 ** (2 / 3)))


def test_every_hidden_layer_of_every_network_has_directions_of_its_own():
    weights = aligned(DeepLinear(TARGET, 0.125, depth=3), width=5, seed=3, members=2)
    for k, hidden in enumerate([weights[0], weights[2].mT]):  # columns of length 1/2
        basis = torch.linalg.qr(draws.normal(3, f"basis {k}", 4, (5, 3))).Q
        torch.testing.assert_close(2 * hidden.flatten(0, 1), basis)


def test_imbalance_matrices_are_conserved():
    weights = gaussian(3, members=4, width=5, depth=3, scale=0.4, seed=1)
    eye = 3**0.5 * torch.eye(3, dtype=torch.float64)
    kept = train(
        weights,
        Samples(eye, eye * TARGET[0]),
        rule=GradientFlow(0.005),
        record=torch.tensor([0, 400]),
        observe={
            "kept": lambda s: torch.cat(
                [m.flatten(-2) for m in (*imbalances(s.weights), s.weights[0])], -1
            )
        },
    ).observed["kept"]
    drift = (kept[:, 1] - kept[:, 0]).abs()
    assert drift[:, : 2 * 25].max() < 1e-8  # two hidden layers
    assert drift[:, 2 * 25 :].max() > 0.1  # the weights themselves have moved


def test_random_starts_are_predicted_by_their_growing_mode():
    weights = gaussian(3, members=60, width=64, depth=2, scale=1e-3, seed=5)
    expected = half_time(as_started(weights, TARGET[0]))
    time = torch.arange(0, 9, 0.05, dtype=torch.float64)
    seen = train_from(weights, TARGET[0], time, step=0.05, rule=GradientFlow)
    assert seen.strength.shape == (60, 180, 3) and seen.loss.shape == (60, 180)
    measured = first_passage(seen.time, seen.strength.mT, TARGET[0] / 2)
    assert (measured / expected).mean(0).tolist() == pytest.approx([1] * 3, abs=0.01)


def test_the_growing_mode_of_an_aligned_start_is_the_start():
    model = DeepLinear(TARGET, start=0.1, imbalance=IMBALANCE)
    found = as_started([w[:, 0] for w in aligned(model, width=7, seed=0)], TARGET)
    torch.testing.assert_close(found.start, torch.full_like(TARGET, 0.1))
    torch.testing.assert_close(found.imbalance, IMBALANCE, atol=1e-12, rtol=0)


def test_a_batch_is_its_members():
    batch = experiment_flow(DeepLinear(TARGET, 1e-2)).strength
    for member, target in zip(batch, TARGET, strict=True):
        alone = experiment_flow(DeepLinear(target, 1e-2)).strength
        torch.testing.assert_close(member, alone)  # any basis gives the same strengths


def test_per_problem_and_per_mode_numbers():
    start = torch.tensor([0.1, 0.2], dtype=torch.float64)
    by_problem = theory(DeepLinear(TARGET, start), TIME).strength
    by_mode = theory(DeepLinear(TARGET, start[:, None].expand(2, 3)), TIME).strength
    torch.testing.assert_close(by_problem, by_mode)
    torch.testing.assert_close(by_problem[1], theory(DeepLinear(TARGET[1], 0.2), TIME).strength)


def test_members_are_networks_and_one_of_them_is_the_same_alone():
    time = torch.linspace(0, 1, 5, dtype=torch.float64)
    how = {"seed": 3, "width": 4, "step": 0.01}
    many = experiment(DeepLinear(TARGET, 0.1), time, members=3, **how)
    assert many.strength.shape == (2, 3, 5, 3) and many.loss.shape == (2, 3, 5)
    alone = experiment(DeepLinear(TARGET[0], 0.1), time, **how)
    assert torch.equal(alone.strength[0], many.strength[0, 0])
    for member in (1, 2):
        torch.testing.assert_close(many.strength[:, member], many.strength[:, 0])


def test_random_layers_are_independent_normal_draws():
    layers = gaussian(4, members=500, width=4, depth=3, scale=0.5, seed=2)
    assert [w.shape for w in layers] == [(500, 4, 4)] * 3
    numbers = torch.stack([w.flatten() for w in layers])
    off = torch.corrcoef(numbers) - torch.eye(3, dtype=torch.float64)
    assert off.abs().max() < 4.5 / 8000**0.5
    assert (numbers.std(-1) / 0.5 - 1).abs().max() < 4.5 / 16000**0.5


def test_the_record_holds_the_times_that_were_trained():
    asked = torch.tensor([0.0, 0.12, 0.37], dtype=torch.float64)
    seen = trained(DeepLinear(TARGET, 0.1), asked, width=4, step=0.05)
    torch.testing.assert_close(seen.time, torch.tensor([0.0, 0.1, 0.35], dtype=torch.float64))
    again = trained(DeepLinear(TARGET, 0.1), seen.time, width=4, step=0.05)
    assert torch.equal(seen.strength, again.strength)


@pytest.mark.parametrize("depth", [3, 4, 7])
@pytest.mark.parametrize("start", [1e-9, 0.3, 1.0, 2.5])
def test_deep_theory_is_the_equation_of_one_gain(depth, start):
    """a' = a^(L-1) (s - a^L), integrated as it stands; the wait of a tiny start is divided out."""
    s = torch.tensor([1.0], dtype=torch.float64)
    model = DeepLinear(s, start, depth)
    wait = start ** (2 / depth - 1) / (depth - 2) if start < 1e-3 else 1.0
    time = wait * torch.linspace(0, 0.9, 7, dtype=torch.float64)
    gain = torch.tensor([start ** (1 / depth)], dtype=torch.float64)
    path = solve(lambda t, a: a ** (depth - 1) * (s - a**depth), gain, time) ** depth
    torch.testing.assert_close(theory(model, time).strength, path, rtol=1e-7, atol=0)


@pytest.mark.parametrize("depth", [3, 4, 7])
def test_far_above_its_target_a_mode_falls_as_if_there_were_none(depth):
    """u' = -L u^(3 - 2/L), up to s / u: the start is kept to all digits."""
    start, power = 1e12, 2 - 2 / depth
    time = start**-power * torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64)
    expected = start * (1 + power * depth * time * start**power) ** (-1 / power)
    found = theory(DeepLinear([1.0], start, depth), time).strength[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_a_mode_that_is_learned_costs_no_time():
    model = DeepLinear([3.0, 1.0], 1e-3, depth=3)
    seen = theory(model, torch.tensor([0.0, 1.0, 1e4, 1e12], dtype=torch.float64))
    assert seen.strength[2:].tolist() == [[3.0, 1.0]] * 2 and seen.loss[2:].tolist() == [0.0, 0.0]
    fast = theory(DeepLinear([1e3, 1.0], 1e-3, depth=4), [0.0, 100.0])  # and beside a slow one
    assert fast.strength[1].tolist() == pytest.approx([1e3, 1.0], rel=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_strengths_may_be_of_any_size(depth, unit):
    """u -> u x unit and t -> t x unit^(2/L - 2) leave the equation alone."""
    clock = unit ** (2 / depth - 2)
    one, other = DeepLinear(TARGET, 0.02, depth), DeepLinear(unit * TARGET, 0.02 * unit, depth)
    u, v = theory(one, TIME).strength, theory(other, clock * TIME).strength
    torch.testing.assert_close(v / unit, u, rtol=1e-8, atol=0)
    torch.testing.assert_close(half_time(other) / clock, half_time(one), rtol=1e-12, atol=0)
    if depth == 2:
        sides = [DeepLinear(x * TARGET, 0.02 * x, imbalance=0.3 * x) for x in (1.0, unit)]
        waits = [half_time(side) for side in sides]
        torch.testing.assert_close(waits[1] / clock, waits[0], rtol=1e-12, atol=0)


def test_starts_may_be_tiny():
    for start in (1e-24, 1e-200, 1e-300):
        wait = math.log(1 / start) / 2
        model = DeepLinear([1.0], start)
        assert half_time(model).item() == pytest.approx(wait, rel=1e-12)
        assert theory(model, half_time(model)).strength.item() == pytest.approx(0.5, rel=1e-9)
        assert theory(model, [0.0]).strength.item() == pytest.approx(start, rel=1e-12)
    single = DeepLinear(torch.ones(1), 1e-24)
    assert half_time(single).dtype == torch.float32
    assert half_time(single).item() == pytest.approx(27.631021, rel=1e-7)
    for depth in (1, 2, 3):  # float64 inside: a wait that is almost nothing keeps its digits
        short = (DeepLinear(torch.ones(1, dtype=x), 0.4999, depth) for x in KINDS)
        single, double = (half_time(model).item() for model in short)
        assert single == pytest.approx(double, rel=1e-6)
    deep = half_time(DeepLinear([1.0], 1e-90, depth=3)).item()
    assert deep == pytest.approx(1e30, rel=1e-9)


def test_lists_arrays_and_numbers_of_numpy_are_welcome():
    exact = theory(DeepLinear(TARGET[0], 0.1, 3), TIME)
    for kind in (list, tuple, np.array):
        model = DeepLinear(kind([3.0, 2.0, 1.0]), np.float64(0.1), np.int64(3))
        torch.testing.assert_close(theory(model, kind(TIME.tolist())).strength, exact.strength)
    shared = {"members": np.int64(2), "width": np.int64(4), "depth": 2, "scale": 0.3}
    weights = gaussian(np.int64(3), seed=np.int64(1), **shared)
    seen = train_from(weights, [3, 2, 1], [0, 1], step=np.float64(0.1))
    assert seen.strength.shape == (2, 2, 3)
    same = as_started(weights, [3, 2, 1]).start
    assert torch.equal(same, as_started(weights, TARGET[0]).start)


def test_dtype_and_device_follow_the_target(device):
    target = TARGET.to(device, torch.float32)
    time = torch.tensor([0.0, 0.1, 0.2], device=device)
    for seen in (
        experiment(DeepLinear(target, 0.1), time, seed=0, width=4, step=0.1),
        theory(DeepLinear(target, 0.1, depth=3), time),
    ):
        assert seen.strength.dtype == torch.float32
        assert seen.strength.device == target.device


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"target": -TARGET}, "target must be positive"),
        ({"target": TARGET * float("nan")}, "target must not hold NaN"),
        ({"target": TARGET * float("inf")}, "target must be positive"),
        ({"target": TARGET[:, :0]}, "target must not be empty"),
        ({"start": 0.0}, "start must be positive"),
        ({"start": float("inf")}, "start must be positive"),
        ({"start": torch.ones(5)}, "start must be a number or have shape"),
        ({"start": float("nan")}, "start must be a number, got NaN"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"depth": 2.5}, "depth must be a whole number, got 2.5"),
        ({"depth": True}, "depth must be a whole number, got True"),
        ({"imbalance": float("inf")}, "imbalance must be non-negative"),
        ({"depth": 3, "imbalance": 0.1}, "imbalance must be 0 at depth 3"),
        ({"imbalance": -0.1}, "imbalance must be non-negative"),
    ],
)
def test_impossible_models_are_refused(change, what):
    with pytest.raises(ValueError, match=what):
        DeepLinear(**{"target": TARGET, "start": 1e-3, **change})


def test_impossible_requests_are_refused():
    model = DeepLinear(TARGET, 1e-3)
    with pytest.raises(ValueError, match="sorted and non-negative"):
        theory(model, TIME.flip(0))
    with pytest.raises(ValueError, match="time must not be empty"):
        theory(model, TIME[:0])
    with pytest.raises(ValueError, match="below half the target"):
        half_time(DeepLinear(TARGET, 2.0))
    with pytest.raises(ValueError, match="at least the 3 modes"):
        experiment(model, TIME, seed=0, width=2, step=0.1)
    with pytest.raises(ValueError, match="step must be positive"):
        experiment(model, TIME, seed=0, width=4, step=0.0)
    with pytest.raises(ValueError, match="members must be at least 1, got 0"):
        experiment(model, TIME, seed=0, width=4, step=0.1, members=0)
    with pytest.raises(ValueError, match="at most one entry per step"):
        experiment(model, TIME, seed=0, width=4, step=1.0)
    with pytest.raises(FloatingPointError, match="finite"):
        experiment(model, 100 * TIME, seed=0, width=4, step=2.0)
    good = {"modes": 3, "members": 2, "width": 4, "depth": 2, "scale": 0.1, "seed": 0}
    for scale in (0.0, -0.1, float("inf")):
        with pytest.raises(ValueError, match="scale must be positive"):
            gaussian(**good | {"scale": scale})
    for name in ("modes", "members", "width", "depth"):
        for count in (0, -1):
            with pytest.raises(ValueError, match=f"{name} must be at least 1, got {count}"):
                gaussian(**good | {name: count})
    with pytest.raises(ValueError, match="two layers, got 3"):
        as_started(gaussian(3, members=2, width=4, depth=3, scale=0.1, seed=0), TARGET[0])


def correlated(target, covariance, weights, *, step, record):
    """Train on inputs of this covariance: the maps and losses of all networks over time."""
    n = len(covariance)
    inputs = n**0.5 * torch.linalg.cholesky(covariance).mT
    observe = {"map": lambda state: state.weights[1] @ state.weights[0], "loss": State.losses}
    data = Samples(inputs, inputs @ target.mT)
    return train(weights, data, rule=GradientFlow(step), record=record, observe=observe).observed


COVARIANCE = torch.tensor([[1.0, 0.7, 0.2], [0.7, 1.0, 0.4], [0.2, 0.4, 1.5]], dtype=torch.float64)


def test_white_inputs_have_the_plateaus_and_cliffs_of_the_singular_values():
    s = TARGET[0]
    left, right = (torch.linalg.qr(draws.normal(k, "basis", 1, (3, 3))[0]).Q for k in (1, 2))
    found = staircase(left @ torch.diag(s) @ right, torch.eye(3, dtype=torch.float64))
    assert found.loss.tolist() == pytest.approx([7.0, 2.5, 0.5, 0.0], abs=1e-12)
    torch.testing.assert_close(found.cliff, 1 / (2 * s))


def test_inputs_along_the_modes_only_rescale_their_clocks():
    """u' = 2u (d - v u) with d = v s, for an input of variance v along each mode."""
    s, v = TARGET[0], torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    found = staircase(torch.diag(s), torch.diag(v))
    order = (v * s).argsort(descending=True)
    torch.testing.assert_close(found.cliff[0], 1 / (2 * (v * s)[order][0]))
    start = DeepLinear(s, 1e-3)
    seen = correlated(
        torch.diag(s), torch.diag(v), aligned(start, width=4, seed=0), step=0.01,
        record=range(0, 300, 20),
    )  # fmt: skip
    time = 0.01 * torch.arange(0, 300, 20, dtype=torch.float64)
    strength = seen["map"][0].diagonal(dim1=-2, dim2=-1)
    for k in range(3):
        expected = theory(DeepLinear(s[k : k + 1], 1e-3), v[k] * time).strength[:, 0]
        torch.testing.assert_close(strength[:, k], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rows", [3, 5])
def test_correlated_inputs_are_learned_from_saddle_to_saddle(rows):
    """Each factor of ten in the start moves every cliff by what the theory says."""
    target = torch.eye(3, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.0])
    target = torch.cat([target, torch.tensor([[1.0, -0.5, 0.5], [0.0, 0.5, 1.0]])])[:rows]
    theirs = staircase(target, COVARIANCE)
    middle = (theirs.loss[1:] + theirs.loss[:-1]) / 2
    time, units = [], []
    for scale in (1e-9, 1e-11):
        weights = [
            scale * draws.normal(4, "first", 3, (8, 3)),
            scale * draws.normal(4, "second", 3, (rows, 8)),
        ]
        units.append(2 * math.log(1 / scale))
        record = range(0, int(1.3 * theirs.cliff[-1] * units[-1] / 0.05), 4)
        loss = correlated(target, COVARIANCE, weights, step=0.05, record=record)["loss"]
        clock = 0.05 * torch.tensor(record, dtype=torch.float64)
        time.append(torch.stack([first_passage(clock, -loss, -x) for x in middle], -1))
    rest = (time[1][:, 1:] + time[1][:, :-1]) / 2
    for network in range(3):
        resting = loss[network, [(clock - t).abs().argmin() for t in rest[network]]]
        torch.testing.assert_close(resting, theirs.loss[1:-1], atol=0.06, rtol=0)
    per_log = (time[1] - time[0]) / (units[1] - units[0])
    torch.testing.assert_close(per_log.mean(0), theirs.cliff, rtol=0.02, atol=0)


def test_the_staircases_of_a_batch_are_those_of_its_members():
    maps = draws.normal(3, "map", 4, (3, 3))
    both = staircase(maps, COVARIANCE.expand(4, 3, 3))
    for k in range(4):
        alone = staircase(maps[k], COVARIANCE)
        torch.testing.assert_close(both.loss[k], alone.loss)
        torch.testing.assert_close(both.cliff[k], alone.cliff)


@pytest.mark.parametrize("width", [3, 8])
def test_modes_in_turn_share_the_hidden_layer(width):
    """What stronger modes leave free predicts even narrow networks, from a tiny start."""
    target = torch.tensor([2.0, 1.0, 4.0], dtype=torch.float64)  # in any order
    weights = gaussian(3, members=40, width=width, depth=2, scale=1e-6, seed=5)
    expected = half_time(as_started(weights, target, in_turn=True))
    alone = half_time(as_started(weights, target))
    time = torch.arange(0, float(expected.max()) + 1, 0.05, dtype=torch.float64)
    seen = train_from(weights, target, time, step=0.05, rule=GradientFlow)
    measured = first_passage(seen.time, seen.strength.mT, target / 2)
    assert (measured - expected).abs().max() < 2e-3
    assert (measured - alone)[:, :2].abs().mean() > 0.05
    torch.testing.assert_close(expected[:, 2], alone[:, 2])  # the strongest has the first choice


def test_a_wait_of_infinitely_many_layers_is_finite():
    """L t -> ln((s - u0) / u0) / s^2 + (1 / u0 - 2 / s) / s, with corrections of order 1 / L."""
    s, u0 = TARGET[0], 0.1
    limit = torch.log((s - u0) / u0) / s**2 + (1 / u0 - 2 / s) / s
    off = [(half_time(DeepLinear(s, u0, L)) * L / limit - 1) * L for L in (1000, 2000)]
    torch.testing.assert_close(off[0], off[1], rtol=0.01, atol=0)


def test_impossible_stages_are_refused():
    eye = torch.eye(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="covariance must be symmetric"):
        staircase(eye, eye + torch.tensor([[0.0, 0.1, 0.0]] + [[0.0] * 3] * 2))
    with pytest.raises(ValueError, match="covariance must be positive"):
        staircase(eye, torch.ones(3, 3))
    with pytest.raises(ValueError, match="covariance must have 3 entries along its axis 'in'"):
        staircase(eye, eye[:2, :2])
    with pytest.raises(ValueError, match="target must be of full rank"):
        staircase(torch.ones(3, 3), eye)
    with pytest.raises(ValueError, match="at least 3 hidden units, got 2"):
        thin = gaussian(3, members=2, width=2, depth=2, scale=0.1, seed=0)
        as_started(thin, TARGET[0], in_turn=True)
