"""Claims of chapters/residual_depth.md, one test per claim."""

import math

import numpy as np
import pytest
import torch

from toymodels.limits import field_theory
from toymodels.residual_depth import (
    SCALINGS,
    Lesson,
    ResidualLinear,
    best_rate,
    continuum,
    experiment,
    learned,
    optimum,
    start_kernel,
    stored,
    theory,
    transfer,
)

DOUBLE = torch.float64
EXPONENTS = torch.tensor([0.0, 0.5, 0.75, 1.0], dtype=DOUBLE)
BOTH = torch.tensor([0.5, 1.0], dtype=DOUBLE)
ODD = {"branch": 0.7, "richness": 2.0, "input_norm": 1.3, "label": -0.8}


def close(left, right, tolerance=1e-12):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def by_hand(depth, exponent, steps, eta, branch, richness, norm, label, echo=1.0):
    """Rows of weights on all sources and one dense covariance; H and G at the last layers."""
    n, c = steps + 1, branch * depth**-exponent
    u = 2 + np.arange(depth)[:, None] * n + np.arange(n)
    r = u + depth * n
    h, g = np.zeros((2, depth + 1, n, 2 + 2 * depth * n))
    cov, f, force = np.eye(2 + 2 * depth * n), np.zeros(n), np.zeros(n)
    cov[0, 0] = norm
    for t in range(n):
        h[0, t] = norm * force[:t] @ g[0, :t]
        h[0, t, 0] += 1
        for k in range(depth):
            H = h[k, t] @ cov @ h[k, : t + 1].T
            cov[u[k, t], u[k, : t + 1]] = cov[u[k, : t + 1], u[k, t]] = H
            push = echo * c * h[k, t, r[k, :t]] + branch**2 / depth * force[:t] * H[:t]
            h[k + 1, t] = h[k, t] + push @ g[k + 1, :t]
            h[k + 1, t, u[k, t]] += c
        g[depth, t] = force[:t] @ h[depth, :t]
        g[depth, t, 1] += 1
        for k in reversed(range(depth)):
            G = g[k + 1, t] @ cov @ g[k + 1, : t + 1].T
            cov[r[k, t], r[k, : t + 1]] = cov[r[k, : t + 1], r[k, t]] = G
            push = echo * c * g[k + 1, t, u[k, :t]] + branch**2 / depth * force[:t] * G[:t]
            g[k, t] = g[k + 1, t] + push @ h[k, :t]
            g[k, t, r[k, t]] += c
        f[t] = g[depth, t] @ cov @ h[depth, t] / richness
        force[t] = eta * richness * (label - f[t])
    return (
        torch.tensor(f),
        torch.tensor(h[depth] @ cov @ h[depth].T),
        torch.tensor(g[1] @ cov @ g[1].T),
    )


@pytest.mark.parametrize(("exponent", "echoes"), [(0.5, True), (1.0, True), (0.5, False)])
def test_the_march_is_the_one_with_a_dense_covariance(exponent, echoes):
    how = {"step": 0.05, "echoes": echoes}
    found = theory(ResidualLinear(5, exponent=exponent, **ODD), 4, **how)
    f, H, G = by_hand(5, exponent, 4, 0.05, 0.7, 2.0, 1.3, -0.8, echo=float(echoes))
    close(found.prediction.double(), f, 1e-6)
    double = {name: torch.tensor(value, dtype=DOUBLE) for name, value in ODD.items()}
    found = theory(ResidualLinear(5, exponent=exponent, **double), 4, **how)
    close(found.prediction, f)
    close(found.feature[-1], H)
    close(found.gradient[1], G)


@pytest.mark.parametrize("depth", [1, 3, 16])
def test_one_step_is_the_first_kernel(depth):
    """The identity that a power of c too many in the response would break."""
    model = ResidualLinear(depth, exponent=EXPONENTS, **ODD)
    found = theory(model, 1, step=0.02)
    close(found.prediction[:, 1], -0.8 * 0.02 * start_kernel(model))
    close(found.tangent[:, 0], start_kernel(model))
    growth = (1 + model.scale.square())[:, None] ** torch.arange(depth + 1)
    close(found.feature[..., 0, 0], 1.3 * growth)
    close(found.gradient[..., 0, 0], growth.flip(-1))


def test_a_second_step_knows_the_response():
    """c squared in the echo is wrong by per cents, at beta other than 1 already in one step."""
    right = by_hand(8, 0.5, 1, 0.02, 0.7, 1.0, 1.0, 1.0)[0][1]
    wrong = by_hand(8, 0.5, 1, 0.02, 0.7, 1.0, 1.0, 1.0, echo=0.7 * 8**-0.5)[0][1]
    expected = 0.02 * start_kernel(ResidualLinear(8, branch=torch.tensor(0.7, dtype=DOUBLE)))
    close(right, expected)
    assert abs(wrong / expected - 1) > 0.015


def test_quiet_branches_leave_one_hidden_layer():
    kernel, label = torch.full((1, 1), 1.3, dtype=DOUBLE), torch.tensor([-0.8], dtype=DOUBLE)
    two = field_theory.linear(kernel, label, 2.0, 12, step=0.1).prediction[:, 0]
    quiet = ResidualLinear(3, branch=torch.tensor(1e-9, dtype=DOUBLE), richness=2.0,
                           input_norm=1.3, label=-0.8)  # fmt: skip
    close(theory(quiet, 12, step=0.1).prediction, two)


def test_richness_is_the_size_of_the_label_and_error_signals_mirror_the_stream():
    one = theory(ResidualLinear(4, exponent=BOTH, richness=2.0, label=1.0), 6, step=0.05)
    two = theory(ResidualLinear(4, exponent=BOTH, richness=0.5, label=4.0), 6, step=0.05)
    close(one.prediction, two.prediction / 4)
    close(one.feature, two.feature)
    close(one.feature, one.gradient.flip(-3))


def test_predictions_move_by_the_tangent_kernel_in_small_steps():
    found = theory(ResidualLinear(4, exponent=BOTH, **ODD), 40, step=1e-4)
    moved = found.prediction.diff(dim=-1) / (1e-4 * (-0.8 - found.prediction[:, :-1]))
    middle = (found.tangent[:, 1:] + found.tangent[:, :-1]) / 2
    torch.testing.assert_close(moved, middle, rtol=2e-4, atol=0)
    assert (found.tangent[:, -1] > found.tangent[:, 0] * 1.0001).all()


def plane(steps, slabs, eta, branch):
    """The limit of exponent 1, by 2 x 2 matrices at every height."""
    A, f = np.zeros((slabs, 2, 2)), []
    foot, top = np.eye(2)
    for _ in range(steps + 1):
        h, g = [foot], [top]
        for a in A:
            h.append(h[-1] + a @ (h[-1] + a @ h[-1] / 2))
        for a in A[::-1]:
            g.append(g[-1] + a.T @ (g[-1] + a.T @ g[-1] / 2))
        f.append(foot @ g[-1])
        h, g = np.array(h), np.array(g[::-1])
        e = eta * (1 - f[-1])
        mid = ((x[1:] + x[:-1]) / 2 for x in (g, h))
        A += branch**2 * e / slabs * np.einsum("li,lj->lij", *mid)
        foot, top = foot + e * g[0], top + e * h[-1]
    return torch.tensor(f)


def test_exponents_above_one_half_end_in_a_plane():
    exponents = torch.tensor([0.6, 1.0, 1.4], dtype=DOUBLE)
    found = continuum(ResidualLinear(16, branch=1.2, exponent=exponents), 8, step=0.04)
    for path in found.prediction:
        torch.testing.assert_close(path, plane(8, 200, 0.04, 1.2), rtol=0, atol=3e-5)
    assert found.feature.shape == (3, 17, 9, 9) and found.tangent.shape == (3, 9)


def test_three_quarters_ends_in_the_plane_too():
    """Not by ``continuum``, which computes it at exponent 1: by a parabola in the root of 1/L."""
    exponent = torch.tensor(0.75, dtype=DOUBLE)
    few, more, most = (
        theory(ResidualLinear(L, exponent=exponent), 8, step=0.03).prediction for L in (4, 16, 64)
    )
    limit = plane(8, 64, 0.03, 1.0)
    assert (most[-1] - limit[-1]).abs() > 0.05
    torch.testing.assert_close(few / 3 - 2 * more + 8 / 3 * most, limit, rtol=0, atol=0.008)


def test_infinite_depth_is_approached_as_one_over_depth():
    limit = continuum(ResidualLinear(16, exponent=BOTH), 6, step=0.03)
    again = continuum(ResidualLinear(8, exponent=BOTH), 6, step=0.03)
    torch.testing.assert_close(limit.prediction, again.prediction, rtol=0, atol=2e-4)
    close(limit.tangent[:, 0], torch.tensor([3 * math.e, 3.0], dtype=DOUBLE), 1e-3)
    torch.testing.assert_close(
        limit.feature[0, :, 0, 0], torch.linspace(0, 1, 17).double().exp(), rtol=0, atol=1e-4
    )
    gaps = [
        depth * (theory(ResidualLinear(depth, exponent=BOTH), 6, step=0.03).prediction[:, -1]
                 - limit.prediction[:, -1])
        for depth in (32, 64)
    ]  # fmt: skip
    torch.testing.assert_close(gaps[0], gaps[1], rtol=0.012, atol=0)
    assert gaps[1][0] < -0.3 and gaps[1][1] > 0.3


def test_networks_of_512_neurons_within_one_per_cent():
    exponents = BOTH.float()
    model = ResidualLinear(4, exponent=exponents)
    expected = theory(ResidualLinear(4, exponent=BOTH), 6, step=0.03)
    seen = experiment(model, 6, step=0.03, seed=1, width=512, members=60, kernels=False)
    first, last = seen.prediction[..., 1].double(), seen.prediction[..., -1].double()
    off = first - expected.prediction[:, 1:2]
    spread = first - first.mean(-1, keepdim=True)
    slope = (spread * last).sum(-1, keepdim=True) / spread.square().sum(-1, keepdim=True)
    steadied = (last - slope * off).mean(-1)
    torch.testing.assert_close(steadied, expected.prediction[:, -1], rtol=0.01, atol=0)
    assert seen.feature is seen.gradient is seen.tangent is None


def test_kernels_of_networks_are_those_of_the_theory():
    model = ResidualLinear(3, exponent=BOTH, **ODD)
    expected = theory(model, 4, step=0.02)
    seen = experiment(model, 4, step=0.02, seed=3, width=256, members=60)
    for name in ("prediction", "feature", "gradient", "tangent"):
        part, right = getattr(seen, name), getattr(expected, name)
        error = part.std(1) / 60**0.5
        assert ((part.mean(1) - right).abs() < 4.5 * error + 0.012 * right.abs() + 1e-12).all(), (
            name
        )
    assert seen.feature.shape == (2, 60, 4, 5, 5)


def test_the_first_step_is_exact_in_the_mean_at_any_width():
    model = ResidualLinear(5, exponent=BOTH, **ODD)
    seen = experiment(model, 1, step=0.02, seed=5, width=3, members=20000, kernels=False)
    first = seen.prediction[..., 1]
    score = (first.mean(1) + 0.8 * 0.02 * start_kernel(model)) / (first.std(1) / 20000**0.5)
    assert score.abs().max() < 4.5
    assert seen.prediction[..., 0].abs().max() == 0


def test_networks_move_by_their_tangent_kernel():
    model = ResidualLinear(3, exponent=BOTH, **ODD)
    seen = experiment(model, 1, step=1e-6, seed=0, width=5, members=4)
    torch.testing.assert_close(
        seen.prediction[..., 1] / 1e-6, -0.8 * seen.tangent[..., 0], rtol=1e-4, atol=1e-4
    )


def test_a_batch_is_its_networks_and_seeds_differ():
    setting = {"step": 0.02, "width": 6, "members": 3}
    both = experiment(ResidualLinear(2, exponent=BOTH, **ODD), 2, seed=1, **setting)
    first = ResidualLinear(2, exponent=BOTH[0], **ODD)
    alone = experiment(first, 2, seed=1, **setting)
    close(both.prediction[0], alone.prediction)
    close(both.feature[0], alone.feature)
    other = experiment(first, 2, seed=2, **setting)
    assert (alone.prediction[:, 1:] != other.prediction[:, 1:]).all()
    assert alone.prediction[:, 2].unique().numel() == 3


# ---- learning rates ------------------------------------------------------------------------------

RATES, SMALL = torch.arange(-2.0, 2.01, 0.5), Lesson(4, 8, 3)


def test_a_parabola_is_found_where_it_is():
    x = torch.linspace(-2, 2, 17).double()
    best = torch.tensor([0.13, -0.4], dtype=DOUBLE)
    loss = (0.7 * (x - best[:, None]) ** 2 - 1).exp()
    close(optimum(x, loss), best)
    loss[:, -1] = torch.inf
    close(optimum(x, loss), best)
    skew = (0.7 * (x - 0.13) ** 2 + torch.where((x - 0.13).abs() > 1.2, 0.3, 0.0)).exp()
    close(optimum(x, skew, reach=1.0), best[0])  # what is far does not count
    steep = (40 * (x - 0.05) ** 2).exp()  # neighbours count, however high they are
    close(optimum(x, steep), torch.tensor(0.05, dtype=DOUBLE))


def test_an_optimum_at_the_edge_is_refused():
    x = torch.linspace(-2, 2, 9).double()
    for loss in (x.exp(), (-x).exp(), torch.where(x > 0, torch.inf, -x).exp()):
        with pytest.raises(ValueError, match="on both sides, got it at the edge"):
            optimum(x, loss)


def test_the_best_rate_has_the_jackknife_error_of_its_members():
    """Members with valleys of one shape: the mean of their places, and its standard error."""
    place = torch.tensor([0.1, -0.2, 0.35, 0.0], dtype=DOUBLE)
    x = torch.linspace(-2, 2, 17).double()
    found = best_rate(x, (0.7 * (x[:, None] - place) ** 2).exp())
    close(found.value, place.mean())
    close(found.error, place.std() / 2)
    assert found.members == 4
    wide = torch.where(x.abs() > 1.3, -0.3, 0.0)[:, None]  # what is far does not count
    far = torch.where(x.abs() > 1.8, -0.3, 0.0)[:, None]  # beyond the reach that nobody names
    close(best_rate(x, (0.2 * (x[:, None] - place) ** 2 + far).exp()).value, place.mean())
    near = best_rate(x, (0.3 * (x[:, None] - place) ** 2 + wide).exp(), reach=1.0)
    close(near.value, place.mean())
    close(near.error, place.std() / 2)


def test_transfer_trains_what_it_says():
    """The loss of a network of one branch of two matrices, three steps by autograd."""
    size = {"depth": 1, "width": 5, "block": 2, "seed": 3, "members": 2, "lesson": SMALL}
    found = transfer("exponent 1", torch.tensor([-3.0, -2.0]), **size)
    data = SMALL.draw()
    sizes = SCALINGS["exponent 1"]([4, 5, 5, 5, 1], 2)
    weights = [w[1].clone().requires_grad_() for w in sizes.start(2, seed=3, dtype=torch.float32)]

    def output():
        m = sizes.multiplier
        h = m[0] * data.inputs @ weights[0].T
        z = m[1] * h.relu() @ weights[1].T
        h = h + m[2] * z.relu() @ weights[2].T
        return m[3] * h.relu() @ weights[3].T

    label, losses = data.labels + output().detach(), []
    for _ in range(3):
        loss = 0.5 * (output() - label).square().mean()
        grads = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, g, rate in zip(weights, grads, sizes.rate, strict=True):
                w -= 0.25 * rate * g
        losses.append(0.5 * (output() - label).square().mean().item())
    assert found[1, 1].item() == pytest.approx(np.mean(losses), rel=1e-4)
    lost = transfer("exponent 1", torch.tensor([30.0]), **size)
    assert torch.isinf(lost).all()


def test_the_learned_share_is_what_weights_have_learned():
    """To first order in the rate it doubles with it; at exponent 1/2 it falls with the depth."""
    size = {"width": 24, "seed": 1, "members": 3, "lesson": SMALL}
    small, large = (learned("exponent 1", r, depth=3, block=2, **size) for r in (-9.0, -8.0))
    torch.testing.assert_close(large / small, torch.full((3, 2), 2.0), rtol=0.06, atol=0)
    for block in (1, 2):
        for name, fall in (("exponent 1/2", 2.0), ("exponent 1", 1.0)):
            few, many = (
                learned(name, -6.0, depth=depth, block=block, **size).square().mean(0).sqrt()
                for depth in (8, 32)
            )
            assert few.shape == (block,)
            torch.testing.assert_close(few / many, torch.full((block,), fall), rtol=0.25, atol=0)


def test_the_four_scalings_by_hand():
    widths = [4, 9, 9, 9, 9, 9, 1]  # two branches of two matrices
    found = {name: make(widths, 2) for name, make in SCALINGS.items()}
    assert found["standard"].multiplier == (1.0,) * 6 and found["standard"].rate == (1.0,) * 6
    assert found["width only"].rate == (9.0,) * 6
    assert found["width only"].multiplier == pytest.approx([1 / 2, *[1 / 3] * 4, 1 / 9])
    half, one = found["exponent 1/2"], found["exponent 1"]
    assert half.multiplier == pytest.approx([1 / 2, 1 / 3, 2**-0.5 / 3, 1 / 3, 2**-0.5 / 3, 1 / 9])
    assert one.multiplier == pytest.approx([1 / 2, 1 / 3, 1 / 6, 1 / 3, 1 / 6, 1 / 9])
    assert half.rate == (9.0,) * 6 and one.rate == (9.0, 18.0, 18.0, 18.0, 18.0, 9.0)


def test_the_lesson_is_one_for_all_and_of_unit_size():
    data = Lesson().draw()
    assert data.inputs.shape == (64, 8) and data.labels.dtype == torch.float32
    assert data.labels.square().mean().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(Lesson().draw().inputs, data.inputs)
    assert not torch.equal(Lesson(seed=1).draw().inputs, data.inputs)


# ---- the stored sweep ----------------------------------------------------------------------------


def test_the_stored_sweep_says_where_it_comes_from_and_can_be_made_again():
    full = stored()
    origin = full.origin
    assert origin["script"] == "tools/figures_depth.py" and len(origin["date"]) == 10
    assert {"python", "torch", "numpy"} <= set(origin)
    run = full.valleys["exponent 1", 1, 8, 32]
    assert run["loss"].shape == (17, origin["members"])
    again = transfer(
        "exponent 1", run["log_rate"][:6], depth=8, width=32, seed=origin["seed"], members=2,
        lesson=Lesson(**origin["lesson"]),
    )  # fmt: skip
    torch.testing.assert_close(again.double(), run["loss"][:6, :2], rtol=0.02, atol=0)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": 0}, "depth must be at least 1, got 0: a residual network has branches"),
        ({"branch": 0.0}, "branch must be positive, got 0"),
        ({"richness": -1.0}, "richness must be positive, got -1"),
        ({"input_norm": 0.0}, "input_norm must be positive, got 0"),
        ({"exponent": float("inf")}, "exponent must be finite"),
        ({"label": float("inf")}, "label must be finite"),
    ],
)
def test_impossible_models_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ResidualLinear(**({"depth": 3} | change))


def test_impossible_requests_are_refused():
    model = ResidualLinear(3)
    setting = {"step": 0.1, "seed": 0, "width": 4, "members": 2}
    for solved in (
        theory,
        continuum,
        lambda m, n, step: experiment(m, n, **setting | {"step": step}),
    ):
        with pytest.raises(ValueError, match="steps must be a non-negative whole number, got -1"):
            solved(model, -1, step=0.1)
        with pytest.raises(ValueError, match="step must be positive and finite, got -0.1"):
            solved(model, 2, step=-0.1)
    for name in ("width", "members"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            experiment(model, 2, **setting | {name: 0})
    with pytest.raises(ValueError, match="exponent must be at least 1/2, got 0.4"):
        continuum(ResidualLinear(3, exponent=0.4), 2, step=0.1)
    loud = ResidualLinear(3, label=torch.tensor(1e100, dtype=DOUBLE))
    with pytest.raises(FloatingPointError, match="training must stay finite"):
        theory(loud, 20, step=1.0)
    with pytest.raises(FloatingPointError, match="left the finite numbers"):
        experiment(loud, 20, **setting | {"step": 1.0})
    size = {"depth": 1, "width": 4, "seed": 0, "members": 2, "lesson": SMALL}
    with pytest.raises(ValueError, match="scaling must be one of .* got 'muP'"):
        transfer("muP", RATES, **size)
    for name in ("depth", "width", "members", "block"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            transfer("standard", RATES, **size | {name: 0})
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Lesson(steps=0)
