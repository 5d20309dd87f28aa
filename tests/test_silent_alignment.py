"""Claims of chapters/silent_alignment.md, one test per claim."""

import math
from dataclasses import replace

import pytest
import torch

from toymodels.networks import GradientDescent, Perceptron
from toymodels.numerics import draws, first_passage, mean
from toymodels.silent_alignment import (
    AnyStart,
    LazyStart,
    Silent,
    SmallStart,
    as_started,
    at_loss,
    balanced_kernel,
    cosine,
    drained,
    drained_experiment,
    experiment,
    gaussian,
    predictors,
    read_at,
    regression,
    since,
    stretch,
    theory,
    train_from,
    two_layers,
    wide_start,
)

DOUBLE = torch.float64
WHITE = torch.eye(4, dtype=DOUBLE)
UNEVEN = torch.tensor(
    [[2.0, 0.3, 0, 0], [0.3, 1.0, 0, 0], [0, 0, 0.5, 0.1], [0, 0, 0.1, 0.3]], dtype=DOUBLE
)
TARGET = torch.tensor([0.5, -1.0, 0.7, 0.2], dtype=DOUBLE)
START = torch.tensor([0.02, 0.01, -0.03, 0.01], dtype=DOUBLE)
TIME = torch.linspace(0, 8, 17, dtype=DOUBLE)


def close(left, right, tolerance=1e-9):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def weights(depth=2, scale=0.1, members=3, width=30, seed=0, inputs=4):
    return gaussian(inputs, members=members, width=width, depth=depth, scale=scale, seed=seed)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_balanced_networks_follow_the_theory(depth):
    model = SmallStart(UNEVEN, TARGET, START, depth)
    line = theory(model, TIME)
    nets = experiment(model, TIME, seed=1, width=5, step=0.02, members=2)
    for name in ("weight", "kernel", "loss"):
        seen = getattr(nets, name)
        close(getattr(line, name).expand_as(seen), seen, 1e-6)
    other = theory(SmallStart(UNEVEN, TARGET, START, depth % 4 + 1), TIME)
    assert (other.weight - nets.weight).abs().max() > 0.1


def test_descent_differs_from_the_flow_by_the_step():
    model = SmallStart(UNEVEN, TARGET, 10 * START)
    gaps = []
    for step in (0.02, 0.01):
        nets = experiment(model, TIME, seed=1, width=5, step=step, rule=GradientDescent)
        gaps.append((nets.weight[0] - theory(model, TIME).weight).abs().max())
    assert gaps[0] / gaps[1] == pytest.approx(2, abs=0.1)


def test_one_layer_forgets_each_direction_at_its_rate():
    model = SmallStart(torch.diag(UNEVEN.diagonal()), TARGET, 0 * START, depth=1)
    left = torch.exp(-UNEVEN.diagonal() * TIME[:, None])
    close(theory(model, TIME).weight, TARGET * (1 - left))
    close(theory(model, TIME).kernel, WHITE.expand(17, 4, 4))


def test_the_loss_is_half_a_mean_square():
    seen = theory(SmallStart(UNEVEN, TARGET, START), TIME[:1])
    missing = TARGET - START
    close(seen.loss[0], 0.5 * missing @ UNEVEN @ missing)


def test_two_layers_are_closed_from_any_weights():
    """Also from a start that is neither small nor balanced, and for each member alone."""
    start = weights(scale=0.7)
    nets = train_from(start, UNEVEN, TARGET, TIME, step=0.02)
    line = two_layers(as_started(start, UNEVEN, TARGET), TIME)
    for name in ("weight", "kernel", "loss"):
        close(getattr(line, name), getattr(nets, name), 1e-6)
    alone = train_from([w[1:2] for w in start], UNEVEN, TARGET, TIME, step=0.02)
    close(alone.kernel[0], nets.kernel[1], 1e-12)


def test_balanced_layers_are_a_special_case_of_two():
    small = theory(SmallStart(UNEVEN, TARGET, START), TIME)
    same = two_layers(AnyStart(UNEVEN, TARGET, START, balanced_kernel(START, 2)), TIME)
    close(small.weight, same.weight, 1e-7)
    close(small.kernel, same.kernel, 1e-7)


def test_white_inputs_have_the_closed_form():
    """H^2 - c^2 is conserved, and c follows the unbalanced equation of deep_linear."""
    from toymodels.deep_linear import DeepLinear
    from toymodels.deep_linear import theory as of_mode

    size = TARGET.norm()
    seen = two_layers(wide_start(WHITE, TARGET, 0.4), TIME)
    c = seen.weight @ TARGET / size
    H = (0.4**4 + c**2).sqrt()
    unit = TARGET / size
    kernel = (H + 0.16)[:, None, None] * WHITE + (H - 0.16)[:, None, None] * torch.outer(unit, unit)
    close(seen.kernel, kernel, 1e-8)
    mode = of_mode(DeepLinear(size[None], start=0.0, imbalance=2 * 0.4**2), TIME)
    close(c, mode.strength[:, 0], 1e-8)


def test_the_kernel_turns_as_tanh_squared_while_the_loss_is_flat():
    time = torch.tensor([0.0, 0.3, 0.8, 1.5], dtype=DOUBLE)
    for covariance in (WHITE, UNEVEN):
        force = covariance @ TARGET
        speed = force.norm()
        line = two_layers(wide_start(covariance, TARGET, 1e-5), time / speed)
        close(stretch(line.kernel, force) - 1, torch.tanh(time) ** 2, 1e-6)


def test_the_turning_does_not_know_the_scale_and_the_fall_does():
    scale = torch.tensor([1e-3, 1e-4], dtype=DOUBLE)
    time = torch.linspace(0, 14, 1401, dtype=DOUBLE)
    seen = two_layers(wide_start(WHITE, TARGET, scale), time)
    turned = first_passage(time, stretch(seen.kernel, TARGET) - 1, 0.5)
    fallen = first_passage(time, -seen.loss, -seen.loss[0, 0] / 2)
    assert turned[0] == pytest.approx(float(turned[1]), abs=1e-4)
    wait = math.log(10) / float(TARGET.norm())
    assert float(fallen[1] - fallen[0]) == pytest.approx(wait, abs=1e-3)


def test_wide_networks_start_round():
    start = gaussian(4, members=200, width=50, depth=2, scale=0.5, seed=3)
    own = as_started(start, WHITE, TARGET)
    found, expected = mean(own.kernel, 0), wide_start(WHITE, TARGET, 0.5).kernel
    assert ((found.value - expected).abs() < 4.5 * found.error).all()
    weight = mean(own.weight, 0)
    assert (weight.value.abs() < 4.5 * weight.error).all()


def test_random_layers_have_their_variance_and_their_own_draws():
    first, second, third = gaussian(6, members=40, width=30, depth=3, scale=0.6, seed=0)
    assert (
        first.shape == (40, 30, 6) and second.shape == (40, 30, 30) and third.shape == (40, 1, 30)
    )
    spread = mean((second**2).flatten(1).mean(1), 0)
    assert abs(spread.value - 0.36 / 30) < 4.5 * spread.error
    assert not torch.equal(second[:, :1], third) and not torch.equal(first[0], first[1])


@pytest.mark.parametrize(("depth", "scale", "bound"), [(2, 1e-2, 1e-4), (3, 0.05, 0.02)])
def test_balanced_equations_hold_from_the_fall_on(depth, scale, bound):
    start = weights(depth, scale, members=3, width=60)
    time = torch.arange(0, 26 if depth == 3 else 8, 0.1, dtype=DOUBLE)
    fall = since(train_from(start, WHITE, TARGET, time, step=0.025), 0.98)
    assert fall.time[0] == 0 and (fall.loss[:, 0] / (TARGET @ TARGET / 2) <= 0.98).all()
    line = theory(SmallStart(WHITE, TARGET, fall.weight[:, 0], depth), fall.time)
    assert (line.weight - fall.weight).norm(dim=-1).max() < bound * TARGET.norm()
    assert (line.weight[:, -1] - TARGET).norm(dim=-1).max() < 0.05  # there was a fall to see


def test_uneven_inputs_turn_towards_the_force_first():
    seen = at_loss(wide_start(UNEVEN, TARGET, 1e-3), torch.tensor([0.99, 1e-8], dtype=DOUBLE))
    force = UNEVEN @ TARGET
    assert stretch(seen.kernel[0], force) == pytest.approx(2, abs=0.02)
    assert stretch(seen.kernel[1], TARGET) == pytest.approx(2, abs=0.02)
    assert stretch(seen.kernel[0], TARGET) < 1.9


def test_the_loss_as_a_clock_meets_the_flow():
    model = wide_start(UNEVEN, TARGET, torch.tensor([0.02, 0.5], dtype=DOUBLE))
    share = torch.tensor([1.0, 0.8, 0.3, 1e-3], dtype=DOUBLE)
    seen = at_loss(model, share)
    close(seen.loss / seen.loss[:, :1], share.expand(2, 4), 1e-8)
    for k in range(2):
        one = wide_start(UNEVEN, TARGET, [0.02, 0.5][k])
        line = two_layers(one, seen.time[k])
        close(line.weight, seen.weight[k], 1e-7)
        close(line.kernel, seen.kernel[k], 1e-7)
        path = two_layers(
            one, torch.linspace(0, float(seen.time[k, -1]) * 1.01, 4001, dtype=DOUBLE)
        )
        between = read_at(path, share)
        close(between.time, seen.time[k], 1e-4)
        close(between.kernel, seen.kernel[k], 1e-4)


def test_cosine_is_largest_at_both_ends_of_the_scale():
    """Exercise of the chapter, by its closed form in ten dimensions."""
    target = torch.zeros(10, dtype=DOUBLE)
    target[3] = 1
    scale = torch.tensor([0.1, 0.5, 1.0], dtype=DOUBLE)
    model = wide_start(torch.eye(10, dtype=DOUBLE), target, scale)
    seen = at_loss(model, torch.tensor([0.9, 1e-10], dtype=DOUBLE)).kernel
    expected = torch.tensor([0.99732, 0.98599, 0.99873], dtype=DOUBLE)
    close(cosine(seen[:, 0], seen[:, 1]), expected, 1e-4)


def test_stretch_and_cosine_of_known_kernels():
    axis = torch.tensor([3.0, 0, 0], dtype=DOUBLE)
    long = torch.diag(torch.tensor([6.0, 1.0, 2.0], dtype=DOUBLE))
    assert stretch(long, axis) == pytest.approx(4.0)
    assert cosine(long, 7 * long) == pytest.approx(1.0)
    assert cosine(long, torch.eye(3, dtype=DOUBLE)) == pytest.approx(9 / math.sqrt(3 * 41))
    for depth in (2, 3, 5):
        assert stretch(balanced_kernel(TARGET, depth), TARGET) == pytest.approx(depth)
        along = TARGET @ torch.linalg.solve(balanced_kernel(TARGET, depth), TARGET)
        assert along == pytest.approx(float(TARGET.norm()) ** (2 / depth) / depth)


def test_records_are_read_where_they_pass():
    """The logarithm of the loss is a straight line between records."""
    time = torch.tensor([0.0, 1.0, 2.0], dtype=DOUBLE)
    loss = torch.exp(-torch.stack([2 * time, 4 * time]))
    weight = torch.stack([time, 10 * time])[..., None]
    seen = Silent(time, weight, weight[..., None], loss)
    found = read_at(seen, torch.exp(-torch.tensor([0.0, 1.0, 3.0], dtype=DOUBLE)))
    close(found.time, torch.tensor([[0, 0.5, 1.5], [0, 0.25, 0.75]], dtype=DOUBLE))
    close(found.weight[1, :, 0], torch.tensor([0, 2.5, 7.5], dtype=DOUBLE))
    later = since(seen, math.exp(-2))
    close(later.weight[..., 0], torch.tensor([[1.0, 2.0], [10.0, 20.0]], dtype=DOUBLE))
    close(later.time, time[:2])
    shifted = since(Silent(time, weight, weight[..., None], loss), math.exp(-3))
    close(shifted.weight[..., 0], torch.tensor([[2.0], [10.0]], dtype=DOUBLE))


def test_regression_fits_and_is_shortest():
    inputs = draws.normal(0, "inputs", 1, (3, 5))[0]
    label = torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)
    weight = torch.linalg.pinv(inputs) @ label
    points = draws.normal(1, "points", 1, (4, 5))[0]
    close(regression(inputs @ inputs.mT, points @ inputs.mT, label), points @ weight)


def test_linear_predictors_cannot_tell_kernels_apart():
    inputs = draws.normal(4, "inputs", 3, (3, 6)) * torch.linspace(0.4, 2, 6, dtype=DOUBLE)
    label = inputs[..., 0] - 2 * inputs[..., 1]
    points = draws.normal(5, "points", 1, (9, 6))[0]
    start = weights(scale=3e-3, inputs=6)
    found = predictors(start, inputs, label, points, network=Perceptron(), step=0.02, steps=8000)
    plain = regression(inputs @ inputs.mT, points @ inputs.mT, label)
    assert found.loss.max() < 1e-6 and found.gap("last").max() < 0.02
    assert ((found.network - plain).norm(dim=-1) / plain.norm(dim=-1)).max() < 0.02


def test_a_lazy_network_is_its_first_kernel_and_a_silent_one_its_last():
    axes = torch.linalg.qr(draws.normal(6, "inputs", 4, (12, 6))).Q.mT
    label = draws.normal(8, "labels", 4, (6,)).sign()
    points = draws.normal(9, "fresh", 1, (40, 12))[0]
    gaps = {}
    for scale, step in ((0.02, 0.03), (4.0, 0.002)):
        start = gaussian(12, members=4, width=80, depth=2, scale=scale, seed=4)
        found = predictors(
            start,
            12**0.5 * axes,
            label,
            points,
            network=Perceptron(torch.relu),
            step=step,
            steps=1200,
        )
        assert found.loss.max() < 1e-6
        gaps[scale] = found.gap("first").mean(), found.gap("last").mean()
    assert gaps[0.02][0] > 0.4 and gaps[0.02][1] < 0.08
    assert gaps[4.0][0] < 0.06 and gaps[4.0][1] < 0.06


LATE = torch.tensor([0.0, 0.1, 0.5, 2.0, 6.0], dtype=DOUBLE)
DATA = draws.normal(2, "inputs", 2, (14, 4))


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_drained_networks_follow_the_closed_system(decay):
    model = LazyStart(DATA, TARGET, torch.tensor([[0.5], [0.1]], dtype=DOUBLE), decay)
    nets = drained_experiment(model, LATE, seed=0, width=5, step=0.01, members=2)
    line = drained(model, LATE)
    for name in ("train_error", "test_error", "kernel"):
        seen = getattr(nets, name)
        close(getattr(line, name)[:, :, None].expand_as(seen), seen, 1e-3)
    wrong = drained(LazyStart(DATA, TARGET, 0.3, decay), LATE)
    assert (wrong.test_error - nets.test_error[0, :, 0]).abs().max() > 0.05


def test_drained_errors_are_those_of_the_map():
    """At the start the network says zero; test inputs are normal."""
    first = drained(LazyStart(DATA, TARGET, 0.5), LATE[:1])
    label = (DATA @ TARGET) ** 2
    close(first.train_error[:, 0], label.square().mean(-1))
    close(first.test_error[:, 0], (3 * TARGET.norm() ** 4).expand(2))
    close(first.kernel[:, 0], 0.5 * WHITE.expand(2, 4, 4))


def test_the_kernel_of_quadratic_neurons():
    """K = 4 (x.x') (x.M x'), by autograd over the first layer."""
    from toymodels.networks import tangent_kernel

    U = draws.normal(0, "plus", 1, (3, 4))
    V = draws.normal(0, "minus", 1, (2, 4))
    sign = torch.tensor([[[1.0, 1, 1, -1, -1]]], dtype=DOUBLE)
    x = draws.normal(1, "x", 1, (3, 4))[0]
    both = torch.cat([U, V], 1)
    seen = tangent_kernel(Perceptron(torch.square), [both, sign], x, rates=[1.0, 0.0])[0, ..., 0, 0]
    M = (U.mT @ U + V.mT @ V)[0]
    close(seen, 4 * (x @ x.mT) * (x @ M @ x.mT))


def test_a_large_start_with_decay_generalises_late_and_a_small_one_at_once():
    inputs = draws.normal(3, "inputs", 3, (60, 10))
    target = torch.eye(10, dtype=DOUBLE)[0]
    time = torch.cat([torch.zeros(1, dtype=DOUBLE), torch.logspace(-2, 1.6, 40, dtype=DOUBLE)])
    scale = torch.tensor([[1.0], [0.05]], dtype=DOUBLE)
    seen = drained(LazyStart(inputs, target, scale, 0.3), time)
    train, test = (
        first_passage(time, -e / e[..., :1], -0.05) for e in (seen.train_error, seen.test_error)
    )
    delay = (test / train).log10().mean(-1)
    assert delay[0] > 1.2 and delay[1] < 0.8
    stays = drained(LazyStart(inputs[:, :40], target, 1.0), time).test_error
    assert (stays[:, -1] / stays[:, 0] > 0.05).all()


def test_problems_of_a_batch_do_not_meet():
    starts = torch.stack([START, 3 * START])
    both = theory(SmallStart(UNEVEN, TARGET, starts, 3), TIME)
    alone = theory(SmallStart(UNEVEN, TARGET, starts[1], 3), TIME)
    close(both.weight[1], alone.weight, 1e-8)
    nets = experiment(
        SmallStart(UNEVEN, TARGET, starts), TIME, seed=1, width=4, step=0.05, members=2
    )
    assert nets.weight.shape == (2, 2, 17, 4) and nets.kernel.shape == (2, 2, 17, 4, 4)
    close(nets.loss[:, 0], theory(SmallStart(UNEVEN, TARGET, starts), TIME).loss, 1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmallStart(WHITE, TARGET, 0 * START), "start must be other than zero"),
        (lambda: SmallStart(WHITE, TARGET, START, 0), "depth must be at least 1"),
        (lambda: SmallStart(-WHITE, TARGET, START), "covariance must be positive"),
        (
            lambda: SmallStart(WHITE + WHITE.roll(1, 0), TARGET, START),
            "covariance must be symmetric",
        ),
        (lambda: AnyStart(WHITE, TARGET, START, 0 * WHITE), "kernel must be other than zero"),
        (
            lambda: AnyStart(WHITE, TARGET, START, -WHITE),
            "kernel must be other than zero",
        ),
        (
            lambda: AnyStart(WHITE, TARGET, START, torch.diag(TARGET)),
            "kernel must be positive",
        ),
        (lambda: wide_start(WHITE, TARGET, 0.0), "scale must be positive"),
        (lambda: gaussian(4, members=1, width=2, depth=2, scale=0.0, seed=0), "scale must be"),
        (lambda: gaussian(4, members=1, width=0, depth=2, scale=1.0, seed=0), "width must be"),
        (lambda: as_started(weights(3), WHITE, TARGET), "weights must be two layers"),
        (lambda: at_loss(wide_start(WHITE, TARGET, 0.1), [0.5, 0.0]), "share must be in"),
        (
            lambda: at_loss(AnyStart(WHITE, TARGET, TARGET, WHITE), [0.5]),
            "target must be not learned",
        ),
        (lambda: stretch(WHITE[:1, :1], TARGET[:1]), "axis must have 2 inputs"),
        (lambda: LazyStart(DATA, TARGET, 0.0), "scale must be positive"),
        (lambda: LazyStart(DATA, TARGET, 1.0, -0.1), "decay must be non-negative"),
        (
            lambda: drained_experiment(
                LazyStart(DATA, TARGET, 1.0), LATE, seed=0, width=3, step=0.1
            ),
            "width must be at least the 4 inputs",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_that_never_falls_is_refused():
    still = theory(SmallStart(WHITE, TARGET, 1e-6 * START), TIME[:3])
    with pytest.raises(ValueError, match="share must be reached by all"):
        since(still, 0.5)
    with pytest.raises(ValueError, match="share must be reached by all"):
        read_at(still, torch.tensor([0.5], dtype=DOUBLE))
    uneven = theory(SmallStart(WHITE, TARGET, START), TIME[[0, 1, 4]])
    for unit in (1, 1e-7):
        with pytest.raises(ValueError, match="time must be evenly spaced"):
            since(replace(uneven, time=unit * uneven.time), 0.9)
