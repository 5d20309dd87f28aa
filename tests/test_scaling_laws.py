"""Claims of chapters/scaling_laws.md, one test per claim."""

from dataclasses import replace
from math import inf

import pytest
import torch
from scipy.integrate import quad

from toymodels import kernel_regression
from toymodels.kernel_regression import KernelRegression, effective_ridge
from toymodels.numerics import draws
from toymodels.numerics.spectra import power_law
from toymodels.scaling_laws import (
    ScalingLaw,
    compute_frontier,
    experiment,
    largest_step,
    online_experiment,
    online_theory,
    power_law_shells,
    responses,
    theory,
)

DOUBLE = torch.float64
LAM = power_law(150, 1.5)
W = (power_law(150, 2.0) / LAM).sqrt()  # lam w^2 = k^-2
TIME = torch.tensor([0.0, 1e-3, 0.5, 3.0, 40.0], dtype=DOUBLE)
LONG = torch.tensor([1e9, 1e12, 1e20], dtype=DOUBLE)
HUGE = 1e25  # samples: finite, so that the pair of contours is used
STANDARD_ERRORS = 4.5


def law(**options):
    return ScalingLaw(LAM, W, **options)


def white(modes=100, **options):
    return ScalingLaw(torch.ones(modes, dtype=DOUBLE), torch.full((modes,), modes**-0.5), **options)


def over_members(each):
    """Mean and standard error over members, by hand."""
    return each.mean(-2), each.std(-2) / each.shape[-2] ** 0.5


def close(one, other, **bounds):
    torch.testing.assert_close(
        one, other, **({"rtol": 0, "atol": 1e-9} | bounds), check_dtype=False
    )


# Limits where the answer is known otherwise


@pytest.mark.parametrize("samples", [inf, HUGE])
def test_without_bottlenecks_every_mode_decays_by_itself(samples):
    found = theory(law(samples=samples, noise=0.3), TIME)
    expected = (LAM * W**2 * torch.exp(-2 * LAM * TIME[:, None])).sum(-1)
    close(found.loss, expected, atol=1e-11)
    close(found.train_loss, expected + 0.3, atol=1e-11)
    close(responses(law(), TIME), torch.exp(-LAM * TIME[:, None]), atol=1e-11)
    assert found.converged.all() and found.residual.max() < 1e-12


def test_descent_without_bottlenecks():
    found = theory(law(samples=HUGE, noise=0.3), torch.arange(0, 50.0, 2), step=0.5)
    decay = (1 - 0.5 * LAM) ** (2 * found.time / 0.5)[:, None]
    close(found.loss, (LAM * W**2 * decay).sum(-1), atol=1e-11)
    stiff = theory(law(), torch.tensor([0.0, 1.8, 3.6, 36.0]), step=1.8)  # alternating signs
    decay = (1 - 1.8 * LAM) ** (2 * stiff.time / 1.8)[:, None]
    close(stiff.loss, (LAM * W**2 * decay).sum(-1), atol=1e-10)


@pytest.mark.parametrize("width", [10.0, 40.0, 200.0])
def test_on_infinite_data_a_loss_is_one_response_at_twice_the_time(width):
    one = theory(law(width=width), TIME)
    other = theory(law(width=width, samples=HUGE), TIME)
    close(one.loss, other.loss, atol=1e-11)
    close(one.loss, (LAM * W**2 * responses(law(width=width), 2 * TIME)).sum(-1), atol=1e-11)
    close(one.train_loss, other.train_loss, atol=1e-11)


def test_at_infinite_width_the_training_loss_is_a_rate():
    model, time, tiny = law(samples=40), TIME[2:], 1e-4
    ahead, behind = (responses(model, 2 * time + shift) for shift in (tiny, -tiny))
    rate = (W**2 * (behind - ahead)).sum(-1) / (2 * tiny)
    close(theory(model, time).train_loss, rate, rtol=1e-6)


def test_width_and_samples_are_exchangeable_in_responses():
    one, other = (responses(law(width=N, samples=P), TIME) for N, P in ((30, 70), (70, 30)))
    close(one, other, atol=1e-12)
    assert (one - responses(law(width=30, samples=30), TIME)).abs().max() > 1e-3


@pytest.mark.parametrize("samples", [20, 40, 149, 200])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_in_the_end_samples_are_kernel_regression(samples, noise):
    kernel = KernelRegression(LAM, W * LAM.sqrt(), noise=noise)
    found = theory(law(samples=samples, noise=noise), LONG)
    expected = kernel_regression.theory(kernel, [samples])
    close(found.loss, expected.error.expand(3), rtol=1e-6)
    close(found.train_loss, expected.train_error.expand(3), atol=1e-8)


@pytest.mark.parametrize("width", [20, 40, 149])
def test_in_the_end_neurons_are_a_projection(width):
    kappa = effective_ridge(KernelRegression(LAM, W), [width]).solution
    expected = (LAM * W**2 * kappa / (LAM + kappa)).sum()
    close(theory(law(width=width), LONG).loss, expected.expand(3), rtol=1e-6)
    squared = (LAM * W**2 * (responses(law(width=width), LONG)) ** 2).sum(-1)
    close(squared, (LAM * W**2 * (kappa / (LAM + kappa)) ** 2).sum().expand(3), rtol=1e-6)


def test_as_many_neurons_as_samples_forget_slowly():
    """With N = P the noise makes the loss grow without bound, as the root of time."""
    time = torch.tensor([1e6, 1e8, 1e10], dtype=DOUBLE)
    found = theory(white(width=50, samples=50, noise=1.0), time).loss
    close(found[1:] / found[:-1], torch.full((2,), 10.0), rtol=0.02)


def marchenko_pastur(ratio, function):
    """Average of a function over the eigenvalues of A^T A / N, ratio = K / N > 1; zeros too."""
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def density(q):
        return ((high - q) * (q - low)) ** 0.5 / (2 * torch.pi * ratio * q) * function(q)

    return quad(density, low, high, epsabs=1e-12)[0] + (1 - 1 / ratio) * function(0.0)


@pytest.mark.parametrize("time, known", [(1.0, 0.565157), (3.0, 0.511465)])
def test_white_features_follow_marchenko_and_pastur(time, known):
    found = theory(white(width=50), [time]).loss.item()
    expected = marchenko_pastur(2.0, lambda q: torch.exp(torch.tensor(-2.0 * q * time)).item())
    assert found == pytest.approx(expected, abs=1e-6) and found == pytest.approx(known, abs=1e-6)


def test_the_largest_step_of_white_features_is_two_over_their_edge():
    close(largest_step(white(width=50)), torch.tensor(2 / (1 + 2**0.5) ** 2), rtol=1e-6)
    close(largest_step(law()), torch.tensor(2.0), rtol=1e-9)
    model = law(width=50, samples=60)
    rows = draws.normal(0, "rows", 40, (110, 150))
    A, X = rows[:, :50] / 50**0.5, rows[:, 50:] / 60**0.5 * LAM.sqrt()
    top = torch.linalg.svdvals(X @ A.mT)[:, 0] ** 2
    share = top * largest_step(model) / 2
    assert share.mean() > 0.55 and (share < 1.05).double().mean() > 0.9


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_small_steps_become_a_flow(noise):
    model, time = law(width=40, samples=60, noise=noise), torch.tensor([2.0, 6.0], dtype=DOUBLE)
    flow = theory(model, time)
    for name in ("loss", "train_loss"):
        off = [getattr(theory(model, time, step=h), name) - getattr(flow, name) for h in (0.2, 0.1)]
        close(off[0] / off[1], torch.full((2,), 2.0), rtol=0.15)


def test_known_values_of_descent_and_flow():
    model = ScalingLaw(power_law(100, 1.5), (power_law(100, 2.0) / power_law(100, 1.5)).sqrt())
    plateau = [theory(replace(model, **{name: 40}), LONG[:1]).loss for name in ("width", "samples")]
    close(torch.cat(plateau), torch.tensor([0.0636072, 0.0415531]), atol=1e-6)


def test_more_nodes_change_nothing():
    model = law(width=40, samples=60, noise=0.2)
    one, other = theory(model, TIME), theory(model, TIME, nodes=24)
    close(one.loss, other.loss, atol=1e-9)
    close(responses(model, TIME), responses(model, TIME, nodes=24), atol=1e-9)


def test_a_shell_is_its_members():
    lam, w = torch.tensor([1.0, 0.2, 0.03]).double(), torch.tensor([0.5, 0.6, 2.0]).double()
    m = torch.tensor([1, 4, 20])
    shells = ScalingLaw(lam, w, width=6, samples=9, noise=0.1, degeneracy=m)
    alone = ScalingLaw(lam.repeat_interleave(m), w.repeat_interleave(m), 6, 9, 0.1)
    for step in (None, 0.1):
        one, other = (theory(model, TIME[[0, 2, 3]], step=step) for model in (shells, alone))
        close(one.loss, other.loss, atol=1e-12)
        close(one.train_loss, other.train_loss, atol=1e-12)
    runs = [experiment(model, TIME, seed=1, members=3).loss for model in (shells, alone)]
    close(*runs, atol=1e-13)
    steps = torch.full((5,), 0.1, dtype=DOUBLE)
    fresh = [replace(model, samples=inf) for model in (shells, alone)]
    close(*(online_theory(model, steps, 2).loss for model in fresh), atol=1e-12)
    close(largest_step(shells), largest_step(alone))


def test_power_laws_in_shells_are_power_laws():
    shells = power_law_shells(2.0, 1.5, 3000)
    assert shells.degeneracy.sum() == 3000 and len(shells.eigenvalue) < 120
    plain = ScalingLaw(power_law(3000, 1.5), (power_law(3000, 2.0) / power_law(3000, 1.5)).sqrt())
    time = torch.tensor([0.0, 1.0, 30.0, 900.0], dtype=DOUBLE)
    for width in (20, 200):
        found = [theory(replace(model, width=width), time).loss for model in (shells, plain)]
        close(*found, rtol=2e-3)
    few = power_law_shells(3.0, 2.0, 5)
    close(few.eigenvalue, power_law(5, 2.0))
    close(few.eigenvalue * few.target**2, power_law(5, 3.0))


# Exponents


def slope(x, y):
    return y.log().diff() / x.log().diff()


@pytest.mark.parametrize("source, capacity", [(2.0, 1.5), (1.5, 2.0), (3.0, 1.5), (4.0, 1.2)])
def test_exponents_of_time_width_and_data(source, capacity):
    model = power_law_shells(source, capacity, 10**15)  # few enough are missing
    size = torch.tensor([3000.0, 10_000.0], dtype=DOUBLE)
    time = torch.tensor([1e3, 1e4] if capacity < 2 else [1e5, 1e6], dtype=DOUBLE)
    found = theory(model, time).loss
    close(slope(time, found), torch.tensor([-(source - 1) / capacity]), atol=0.01)
    wide = theory(replace(model, width=size), LONG[:1]).loss[:, 0]
    close(slope(size, wide), torch.tensor([-min(source - 1, capacity)]), atol=0.02)
    data = theory(replace(model, samples=size), LONG[1:2]).loss[:, 0]
    close(slope(size, data), torch.tensor([-min(source - 1, 2 * capacity)]), atol=0.02)


@pytest.mark.parametrize("source, capacity", [(2.0, 1.5), (1.5, 1.5), (4.0, 1.5), (4.0, 2.0)])
def test_exponents_of_the_frontier(source, capacity):
    hard = source - 1 < capacity
    loss = (source - 1) / (1 + capacity) if hard else (source - 1) / source
    width = 1 / (1 + capacity) if hard else 1 - capacity / source
    C = torch.tensor([1e7, 1e8], dtype=DOUBLE)
    found = compute_frontier(power_law_shells(source, capacity), C)
    assert found.interior.all()
    close(slope(C, found.loss), torch.tensor([-loss]), atol=0.01)
    close(slope(C, found.width), torch.tensor([width]), atol=0.01)
    close(slope(C, found.time), torch.tensor([1 - width]), atol=0.01)
    close(found.width * found.time, C, rtol=1e-12)


def test_the_frontier_is_the_least_of_all_widths():
    model, C = ScalingLaw(LAM, W), torch.tensor([30.0, 300.0], dtype=DOUBLE)
    found = compute_frontier(model, C)
    factor = torch.tensor([0.05, 0.3, 0.8, 0.96, 0.98, 1.0, 1.02, 1.04, 1.2, 3.0, 5.0]).double()
    for k in range(2):
        width = (factor * found.width[k]).clamp(1, 150)
        scan = [theory(replace(model, width=N), C[k : k + 1] / N).loss[0] for N in width]
        assert torch.stack(scan).argmin() == 5
    at = theory(replace(model, width=found.width), found.time)  # each width at each time
    close(at.loss.diagonal(), found.loss, atol=1e-8)
    cheap = compute_frontier(model, torch.tensor([1e-3, 1e12], dtype=DOUBLE))
    assert cheap.interior.tolist() == [False, False]
    close(cheap.width, torch.tensor([1.0, 150.0]), rtol=1e-9)


def test_the_early_correction_is_one_over_the_width():
    width = torch.tensor([50.0, 100, 200, 400], dtype=DOUBLE)
    for name in ("width", "samples"):
        model = ScalingLaw(power_law(3000, 1.5), (power_law(3000, 0.5)).sqrt())
        excess = theory(replace(model, **{name: width}), [1.0]).loss - theory(model, [1.0]).loss
        scaled = excess[:, 0] * width
        assert scaled.max() / scaled.min() < 1.02
    many, t = white(modes=2, width=1e6), torch.tensor([0.3, 1.0, 2.0], dtype=DOUBLE)
    excess = 1e6 * (theory(many, t).loss - theory(white(modes=2), t).loss)
    close(excess, 2 * 2 * t**2 * torch.exp(-2 * t), rtol=1e-4)  # 2 K t^2 exp(-2t)


# Against simulation


@pytest.mark.parametrize("step", [None, 0.25])
@pytest.mark.parametrize("width, samples", [(50, 100), (80, inf), (inf, 60)])
def test_simulation_agrees_with_theory(width, samples, step):
    model = law(width=width, samples=samples, noise=0.1)
    time = torch.tensor([0.5, 3.0, 20.0], dtype=DOUBLE)
    at, seen = (
        theory(model, time, step=step),
        experiment(model, time, seed=7, members=1200, step=step),
    )
    for name in ("loss", "train_loss"):
        mean, error = over_members(getattr(seen, name))
        predicted = getattr(at, name)
        assert ((mean / predicted - 1).abs() < 0.025).all(), name
        assert (error < 0.01 * predicted).all(), name


def test_draws_and_steps_are_what_they_say():
    """Gradient descent on the loss of the readout, one step and one member after the other."""
    model, step = ScalingLaw(LAM[:9], W[:9], width=4, samples=5, noise=0.2), 0.3
    seen = experiment(model, torch.tensor([0.0, 0.3, 2.1]), seed=3, members=3, step=step, chunk=2)
    A, phi = (draws.normal(3, what, 3, (n, 9)) for what, n in (("neurons", 4), ("inputs", 5)))
    psi, noise = phi * LAM[:9].sqrt(), 0.2**0.5 * draws.normal(3, "noise", 3, (5,))
    for k in range(3):
        mixed, label = psi[k] @ A[k].T / 4**0.5, psi[k] @ W[:9] + noise[k]
        readout, losses, trained = torch.zeros(4, dtype=DOUBLE), [], []
        for _ in range(8):
            missed = W[:9] - A[k].T @ readout / 4**0.5
            losses.append((LAM[:9] * missed**2).sum())
            trained.append(((label - mixed @ readout) ** 2).mean())
            readout = readout + step * mixed.T @ (label - mixed @ readout) / 5
        for found, expected in ((seen.loss[k], losses), (seen.train_loss[k], trained)):
            close(found, torch.stack(expected)[[0, 1, 7]], atol=1e-12)
    assert seen.time.tolist() == pytest.approx([0.0, 0.3, 2.1])


def test_a_flow_is_the_limit_of_small_steps_in_every_draw():
    model, time = law(width=30, samples=40, noise=0.2), torch.tensor([0.0, 1.0, 4.0])
    flow, fine = (experiment(model, time, seed=0, members=2, step=h) for h in (None, 1e-4))
    close(flow.loss, fine.loss, rtol=2e-3)
    close(flow.train_loss, fine.train_loss, rtol=2e-3)


def test_narrow_networks_and_small_data_are_the_first_of_large_ones():
    size, time = torch.tensor([5, 12]).double(), torch.tensor([2.0])
    both = experiment(law(width=size, samples=size, noise=0.3), time, seed=2, members=3)
    for k in range(2):
        A = draws.normal(2, "neurons", 3, (12, 150))[:, : int(size[k])] / size[k] ** 0.5
        psi = draws.normal(2, "inputs", 3, (12, 150))[:, : int(size[k])] * LAM.sqrt()
        noise = 0.3**0.5 * draws.normal(2, "noise", 3, (12,))[:, : int(size[k])]
        mixed, label = psi @ A.mT, (psi @ W) + noise
        gram = mixed.mT @ mixed / size[k]
        pull = torch.linalg.solve(gram, (mixed.mT @ label[..., None]) / size[k])
        readout = pull - torch.linalg.matrix_exp(-2 * gram) @ pull
        missed = W - (A.mT @ readout)[..., 0]
        close(both.loss[k, :, 0], (LAM * missed**2).sum(-1), atol=1e-9)


def test_a_batch_is_its_members_one_by_one():
    lam = torch.stack([LAM[:30], LAM[:30] ** 2])
    width, noise = (torch.tensor(x, dtype=DOUBLE) for x in ([[6.0], [20.0], [11.0]], [0.0, 0.4]))
    many = ScalingLaw(lam, W[:30], width=width, samples=15, noise=noise)
    time = torch.tensor([0.0, 0.5, 4.0], dtype=DOUBLE)
    sides = [theory(many, time), theory(many, time, step=0.1)]
    seen, shape = experiment(many, time, seed=0, members=2), (3, 2)
    ends = largest_step(many)
    online = online_theory(replace(many, samples=inf), [0.1, 0.2], 2)
    for i in range(3):
        for j in range(2):
            one = ScalingLaw(lam[j], W[:30], width=width[i, 0], samples=15, noise=noise[j])
            for side, step in zip(sides, (None, 0.1), strict=True):
                close(side.loss[i, j], theory(one, time, step=step).loss)
                close(side.train_loss[i, j], theory(one, time, step=step).train_loss)
            close(ends[i, j], largest_step(one))
            close(online.loss[i, j], online_theory(replace(one, samples=inf), [0.1, 0.2], 2).loss)
    assert sides[0].loss.shape == (*shape, 3) and seen.loss.shape == (*shape, 2, 3)
    assert responses(many, time).shape == (*shape, 3, 30)
    one = experiment(ScalingLaw(lam[1], W[:30], 20, 15, 0.4), time, seed=0, members=2)
    close(seen.loss[1, 1], one.loss, atol=1e-12)
    frontier = compute_frontier(ScalingLaw(lam, W[:30]), [5.0, 20.0])
    alone = compute_frontier(ScalingLaw(lam[1], W[:30]), [5.0, 20.0])
    close(frontier.width[1], alone.width, rtol=1e-6)


# Fresh batches and schedules


def test_online_descent_at_infinite_width_is_exact():
    h = torch.linspace(0.3, 0.0, 60, dtype=DOUBLE)
    found = online_theory(law(noise=0.2), h, 3)
    c, losses = W**2, []
    for k in range(61):
        losses.append((LAM * c).sum())
        if k < 60:
            power = losses[-1] + 0.2
            c = ((1 - h[k] * LAM) ** 2 + (h[k] * LAM) ** 2 / 3) * c + h[k] ** 2 / 3 * LAM * power
    close(found.loss, torch.stack(losses), atol=1e-10)
    close(found.train_loss, found.loss + 0.2)
    close(found.time, torch.cat([torch.zeros(1).double(), h.cumsum(0)]))


def test_large_batches_are_descent_on_infinite_data():
    steps = torch.full((40,), 0.25, dtype=DOUBLE)
    online = online_theory(law(width=40), steps, 10**12)
    close(online.loss, theory(law(width=40), online.time, step=0.25).loss, atol=1e-9)


@pytest.mark.parametrize("width", [inf, 40])
def test_online_simulation_agrees_with_theory(width):
    steps = 0.3 * (1 - torch.arange(60, dtype=DOUBLE) / 60)
    model = law(width=width, noise=0.3)
    seen = online_experiment(model, steps, 4, seed=5, members=300)
    mean, error = over_members(seen.loss[:, 1:])
    predicted = online_theory(model, steps, 4).loss[1:]
    correction = 0.0 if width == inf else 0.02
    assert ((mean - predicted).abs() < STANDARD_ERRORS * error + correction * predicted).all()
    assert (error < 0.03 * predicted).all()
    close(seen.train_loss, seen.loss + 0.3)


def test_online_draws_are_what_they_say():
    model, h = ScalingLaw(LAM[:7], W[:7], width=3, noise=0.2), torch.tensor([0.2, 0.1]).double()
    seen = online_experiment(model, h, 2, seed=4, members=3)
    A, stream = draws.normal(4, "neurons", 3, (3, 7)) / 3**0.5, draws.Stream(4, 3)
    for m in range(3):
        readout, losses = torch.zeros(3, dtype=DOUBLE), []
        for k in range(3):
            missed = W[:7] - A[m].T @ readout
            losses.append((LAM[:7] * missed**2).sum())
            if k < 2:
                psi = LAM[:7].sqrt() * stream.normal("inputs", k, (2, 7))[m].double()
                wrong = psi @ missed + 0.2**0.5 * stream.normal("noise", k, (2,))[m].double()
                readout = readout + h[k] * A[m] @ psi.T @ wrong / 2
        close(seen.loss[m], torch.stack(losses), atol=1e-12)


# Records, dtypes and refusals


def test_single_precision_models_are_solved_in_double():
    model = ScalingLaw(LAM.float(), W.float(), width=40, samples=60)
    found = theory(model, torch.tensor([0.0, 2.0]))
    assert found.loss.dtype == torch.float32
    exact = ScalingLaw(LAM.float().double(), W.float().double(), width=40, samples=60)
    close(found.loss.double(), theory(exact, [0.0, 2.0]).loss, rtol=1e-6)
    assert experiment(model, [1.0], seed=0, members=2).loss.dtype == torch.float32
    assert responses(model, [1.0]).dtype == largest_step(model).dtype == torch.float32


def test_a_feature_without_variance_is_never_seen():
    lam, w = torch.tensor([1.0, 0.3, 0.0]).double(), torch.tensor([1.0, 1.0, 5.0]).double()
    for model in (ScalingLaw(lam, w, 2, 2, 0.1), ScalingLaw(lam[:2], w[:2], 2, 2, 0.1)):
        found = theory(model, TIME)
        assert found.loss.isfinite().all()
    close(
        theory(ScalingLaw(lam, w, 2, 2), TIME).loss,
        theory(ScalingLaw(lam[:2], w[:2], 2, 2), TIME).loss,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eigenvalue": -LAM}, "eigenvalue must be finite and not negative"),
        ({"eigenvalue": 0 * LAM}, "eigenvalue must not be zero throughout"),
        ({"target": W * inf}, "target must be finite"),
        ({"width": 0.5}, "width must be at least 1"),
        ({"samples": [3.0, 0.0]}, "samples must be at least 1"),
        ({"noise": -0.1}, "noise must be finite and not negative"),
        ({"noise": inf}, "noise must be finite and not negative"),
        ({"degeneracy": torch.full((150,), 0.5)}, "degeneracy must be whole numbers from 1"),
        ({"degeneracy": torch.full((150,), 0)}, "degeneracy must be whole numbers from 1"),
        ({"width": [3, 4], "samples": [3, 4, 5]}, "the leading axes must fit each other"),
    ],
)
def test_impossible_models_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ScalingLaw(**{"eigenvalue": LAM, "target": W} | change)


def test_impossible_requests_are_refused():
    model, time, steps = law(), torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.1])
    for bad in ([1.0, 0.5], [-1.0, 0.0], [0.0, inf]):
        for ask in (theory, responses, lambda m, t: experiment(m, t, seed=0, members=2)):
            with pytest.raises(ValueError, match="time must be"):
                ask(model, torch.tensor(bad))
    with pytest.raises(ValueError, match="step must be below 1.9"):
        theory(model, [0.0, 4.0], step=2.0)
    with pytest.raises(ValueError, match="time must be below"):
        theory(model, [0.0, 4000.0], step=0.5)
    for members, chunk in ((0, 3), (2, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            experiment(model, time, seed=0, members=members, chunk=chunk)
    with pytest.raises(ValueError, match="seed must be"):
        experiment(model, time, seed=-1, members=2)
    with pytest.raises(ValueError, match="width must be whole"):
        experiment(law(width=2.5), time, seed=0, members=2)
    with pytest.raises(ValueError, match="samples must be finite or infinite for the whole batch"):
        experiment(law(samples=[5.0, inf]), time, seed=0, members=2)
    for name, ask in {
        "frontier": lambda m: compute_frontier(m, [10.0]),
        "theory": lambda m: online_theory(m, steps, 2),
        "experiment": lambda m: online_experiment(m, steps, 2, seed=0, members=2),
    }.items():
        with pytest.raises(ValueError, match="samples must be infinite"):
            ask(law(samples=5)), name
    with pytest.raises(ValueError, match="compute must be positive"):
        compute_frontier(model, [0.0, 1.0])
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        compute_frontier(model, [1.0], rounds=0)
    with pytest.raises(ValueError, match="step must be finite and not negative"):
        online_theory(model, [0.1, -0.1], 2)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        online_theory(model, steps, 0)
    with pytest.raises(ValueError, match="members must be at least 1"):
        online_experiment(model, steps, 2, seed=0, members=0)
    with pytest.raises(ValueError, match="overflows"):
        online_theory(white(modes=20_000), torch.full((100,), 1.5), 1)
    for bad in ({"source": 1.0}, {"capacity": 0.5}, {"ratio": 1.0}, {"modes": 0}):
        with pytest.raises(ValueError, match="must be (above|at least) 1"):
            power_law_shells(**{"source": 2.0, "capacity": 2.0} | bad)
