"""Claims of chapters/deep_linear.md, one test per claim."""

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
    theory,
    train_from,
)
from toymodels.networks.data import Samples
from toymodels.networks.ensemble import train
from toymodels.networks.rules import GradientFlow

TARGET = torch.tensor([[3.0, 2.0, 1.0], [4.0, 1.5, 0.5]], dtype=torch.float64)
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


def experiment_flow(model):
    time = torch.linspace(0, 3, 16, dtype=torch.float64)
    return experiment(model, time, seed=0, width=6, step=0.005, rule=GradientFlow)


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
        seen = experiment(model, time, seed=0, width=8, step=step)
        return (seen.strength - theory(model, seen.time).strength).abs().max()

    assert torch.log2(gap(2e-3) / gap(1e-3)) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_aligned_start_is_what_it_says(depth):
    c = IMBALANCE if depth == 2 else 0.0
    weights = aligned(DeepLinear(TARGET, 0.1, depth, imbalance=c), width=5, seed=3)
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
    model = as_started(weights, TARGET[0])
    expected = half_time(model)
    time = torch.arange(0, 9, 0.05, dtype=torch.float64)
    seen = train_from(weights, TARGET[0], time, step=0.05, rule=GradientFlow)
    late = (seen.strength > TARGET[0] / 2).double().argmax(-2)
    measured = seen.time[late]
    assert (measured.mean(0) / expected.mean(0)).tolist() == pytest.approx([1] * 3, abs=0.015)


def test_the_growing_mode_of_an_aligned_start_is_the_start():
    model = DeepLinear(TARGET, start=0.1, imbalance=IMBALANCE)
    found = as_started(aligned(model, width=7, seed=0), TARGET)
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
        ({"target": TARGET * float("nan")}, "target must be positive"),
        ({"start": 0.0}, "start must be positive"),
        ({"start": float("inf")}, "start must be positive"),
        ({"start": torch.ones(5)}, "start must be a number or have shape"),
        ({"depth": 0}, "depth must be a whole number"),
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
    with pytest.raises(ValueError, match="time must be one axis with entries"):
        theory(model, TIME[:0])
    with pytest.raises(ValueError, match="below half the target"):
        half_time(DeepLinear(TARGET, 2.0))
    with pytest.raises(ValueError, match="at least the 3 modes"):
        experiment(model, TIME, seed=0, width=2, step=0.1)
    with pytest.raises(ValueError, match="step must be positive"):
        experiment(model, TIME, seed=0, width=4, step=0.0)
    with pytest.raises(ValueError, match="strictly increasing"):
        experiment(model, TIME, seed=0, width=4, step=1.0)  # several times fall on one step
    with pytest.raises(FloatingPointError, match="finite"):
        experiment(model, 100 * TIME, seed=0, width=4, step=2.0)
    with pytest.raises(ValueError, match="scale must be positive"):
        gaussian(3, members=2, width=4, depth=2, scale=0.0, seed=0)
    with pytest.raises(ValueError, match="two layers, got 3"):
        as_started(gaussian(3, members=2, width=4, depth=3, scale=0.1, seed=0), TARGET[0])
