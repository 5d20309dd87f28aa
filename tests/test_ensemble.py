"""Stacked training against torch's own modules and optimizers, one network at a time."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from toymodels.networks import chunks, graph
from toymodels.networks.data import Batches, Fresh, Samples
from toymodels.networks.ensemble import State, check_observe, train
from toymodels.networks.loss import cross_entropy
from toymodels.networks.network import Perceptron
from toymodels.networks.rules import Adam, GradientDescent, GradientFlow, HeavyBall, WeightDecay
from toymodels.numerics import origin
from toymodels.numerics.draws import Stream, normal

MEMBERS, STEPS = 3, 12
WIDTHS = [4, 6, 5, 2]
INPUTS = normal(0, "inputs", 1, (7, 4))[0]
LABELS = normal(0, "labels", 1, (7, 2))[0]
SAMPLES = Samples(INPUTS, LABELS)
RECORD = torch.tensor([0, 5, STEPS])
TANH = Perceptron(torch.tanh)


def start(members=MEMBERS):
    return [
        normal(1, f"layer {k}", members, (WIDTHS[k + 1], WIDTHS[k])) / WIDTHS[k] ** 0.5
        for k in range(3)
    ]


def everything(state):
    return torch.cat([w.flatten(1) for w in state.weights], -1)


ALL = {"weights": everything}


def run(rule, data=SAMPLES, **options):
    options = {"network": TANH, "record": RECORD, "observe": ALL, "seed": 0} | options
    return train(start(), data, rule=rule, **options).observed["weights"]


def reference(member, optimizer, activation=nn.Tanh, samples=lambda step: (INPUTS, LABELS)):
    """One network by nn.Module, autograd and torch.optim; the weights after the last step."""
    layers = [nn.Linear(a, b, bias=False) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)]
    network = nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2]).double()
    for layer, weight in zip(layers, start(), strict=True):
        layer.weight.data.copy_(weight[member])
    optimizer = optimizer(network.parameters())
    for step in range(STEPS):
        inputs, labels = samples(step)
        optimizer.zero_grad()
        (0.5 * (network(inputs) - labels).square().sum(-1).mean()).backward()
        optimizer.step()
    return torch.cat([layer.weight.detach().flatten() for layer in layers])


def sgd(step, **more):
    return lambda parameters: torch.optim.SGD(parameters, lr=step, **more)


RULES = {
    "descent": (GradientDescent(0.1), sgd(0.1)),
    "heavy ball": (HeavyBall(0.1, 0.9), sgd(0.1, momentum=0.9)),
    "weight decay": (
        WeightDecay(HeavyBall(0.1, 0.9), 0.3),
        sgd(0.1, momentum=0.9, weight_decay=0.3),
    ),
    "adam": (Adam(0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
    "adam, own numbers": (
        Adam(0.05, decay=(0.8, 0.9), epsilon=1e-3),
        lambda p: torch.optim.Adam(p, lr=0.05, betas=(0.8, 0.9), eps=1e-3),
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("function", "module"), [(torch.tanh, nn.Tanh), (torch.relu, nn.ReLU)])
def test_every_member_follows_torch(name, function, module):
    rule, optimizer = RULES[name]
    seen = run(rule, network=Perceptron(function))[:, -1]
    for member in range(MEMBERS):
        expected = reference(member, optimizer, module)
        torch.testing.assert_close(seen[member], expected, atol=1e-10, rtol=0)


def test_linear_networks_follow_torch():
    seen = run(GradientDescent(0.05), network=None)[:, -1]
    expected = reference(1, sgd(0.05), nn.Identity)
    torch.testing.assert_close(seen[1], expected, atol=1e-10, rtol=0)


def test_one_layer_forgets_its_start_mode_by_mode():
    """W(n) - W* = (W(0) - W*)(1 - step C)^n, with C the covariance of the inputs."""
    first = normal(4, "one", MEMBERS, (2, 4))
    options = {"rule": GradientDescent(0.3), "record": RECORD, "observe": ALL, "chunk": 2}
    seen = train([first], SAMPLES, **options).observed["weights"][:, -1].reshape(MEMBERS, 2, 4)
    best = torch.linalg.lstsq(INPUTS, LABELS).solution.T
    fade = torch.eye(4, dtype=torch.float64) - 0.3 * INPUTS.T @ INPUTS / 7
    torch.testing.assert_close(seen, best + (first - best) @ fade.matrix_power(STEPS))


@pytest.mark.parametrize("shared", [True, False])
def test_mini_batches_are_drawn_for_each_member_with_replacement(shared):
    stream = Stream(8, MEMBERS)
    inputs = INPUTS if shared else INPUTS.expand(MEMBERS, 7, 4)
    seen = run(GradientDescent(0.1), Batches(Samples(inputs, LABELS), 3), seed=8)[:, -1]

    def samples(step):
        pick = stream.integers("mini-batch", step, (3,), high=7)[member]
        return INPUTS[pick], LABELS[pick]

    for member in range(MEMBERS):
        expected = reference(member, sgd(0.1), samples=samples)
        torch.testing.assert_close(seen[member], expected, atol=1e-10, rtol=0)


def fresh(stream, step):
    inputs = stream.normal("inputs", step, (3, 4))
    return inputs, torch.ones_like(inputs[..., :2])


def test_fresh_samples_are_new_at_every_step_for_every_member():
    seen = run(GradientDescent(0.1), Fresh(fresh), seed=3)
    stream = Stream(3, MEMBERS)

    def samples(step):
        return tuple(part[member] for part in fresh(stream, step))

    for member in range(MEMBERS):
        expected = reference(member, sgd(0.1), samples=samples)
        torch.testing.assert_close(seen[member, -1], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("size", [None, 3])
def test_noise_is_new_at_every_step_for_every_member(size):
    levels = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    noisy = Samples(INPUTS, LABELS, input_noise=0.2, label_noise=levels)
    seen = run(GradientDescent(0.1), noisy if size is None else Batches(noisy, size), seed=3)
    stream = Stream(3, MEMBERS)

    def samples(step):
        pick = slice(None)
        if size is not None:
            pick = stream.integers("mini-batch", step, (size,), high=7)[member]
        inputs, labels = INPUTS[pick], LABELS[pick]
        return (
            inputs + 0.2 * stream.normal("input noise", step, tuple(inputs.shape))[member],
            labels
            + levels[member] * stream.normal("label noise", step, tuple(labels.shape))[member],
        )

    for member in range(MEMBERS):
        expected = reference(member, sgd(0.1), samples=samples)
        torch.testing.assert_close(seen[member, -1], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("data", [Samples(INPUTS, LABELS, 0.3, 0.4), Fresh(fresh, SAMPLES)])
def test_what_is_observed_is_watched_without_noise(data):
    observe = {"loss": State.losses, "labels": lambda state: state.labels[None].expand(3, 7, 2)}
    training = train(
        start(),
        data,
        rule=GradientDescent(0.1),
        record=[0, 2],
        observe=observe,
        network=TANH,
        seed=0,
    )
    expected = 0.5 * (TANH(training.weights, INPUTS) - LABELS).square().sum(-1).mean(-1)
    torch.testing.assert_close(training.observed["loss"][:, 1], expected)
    assert torch.equal(training.observed["labels"][1, 1], LABELS)


def test_gradient_flow_is_of_fourth_order():
    def end(step):
        record = torch.tensor([round(1 / step)])
        return run(GradientFlow(step), record=record)

    fine = end(1 / 64)
    ratio = (end(1 / 4) - fine).abs().max() / (end(1 / 8) - fine).abs().max()
    assert torch.log2(ratio) == pytest.approx(4, abs=0.4)


def test_gradient_flow_is_the_limit_of_gradient_descent():
    flow = run(GradientFlow(0.1), record=torch.tensor([10]))
    gaps = [
        (run(GradientDescent(1 / n), record=torch.tensor([n])) - flow).abs().max()
        for n in (100, 200)
    ]
    assert torch.log2(gaps[0] / gaps[1]) == pytest.approx(1, abs=0.1)


EACH = torch.tensor([0.02, 0.05, 0.1], dtype=torch.float64)
NOISY = {"data": Batches(Samples(INPUTS, LABELS, 0.1, EACH), 3), "seed": 2}
DROPPING = Perceptron(torch.tanh, normalize=True, dropout=EACH)


@pytest.mark.parametrize("chunk", [1, 2])
@pytest.mark.parametrize("network", [TANH, DROPPING], ids=["by hand", "autograd"])
@pytest.mark.parametrize("options", [{}, NOISY], ids=["full", "noisy"])
@pytest.mark.parametrize(
    "rule",
    [
        HeavyBall(EACH, 0.5),
        Adam(EACH),
        GradientFlow([EACH, 0.1, 0.2]),
        WeightDecay(Adam(0.1), EACH),
    ],
)
def test_chunks_change_nothing(chunk, network, options, rule):
    whole = run(rule, network=network, chunk=MEMBERS, **options)
    parts = run(rule, network=network, chunk=chunk, **options)
    assert torch.equal(parts, whole)


def test_each_member_may_have_its_own_numbers():
    momentum = torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)
    seen = run(HeavyBall(EACH, momentum))
    for k in range(MEMBERS):
        alone = run(HeavyBall(EACH[k].item(), momentum[k].item()))[k]
        torch.testing.assert_close(seen[k], alone, atol=1e-13, rtol=0)


def test_each_layer_may_have_its_own_step():
    only_last = run(GradientDescent([0.0, 0.0, EACH]))
    first, last = 6 * 4 + 5 * 6, 2 * 5
    assert torch.equal(only_last[:, -1, :first], only_last[:, 0, :first])
    each = run(GradientDescent([EACH, EACH, EACH]))
    torch.testing.assert_close(each, run(GradientDescent(EACH)), atol=0, rtol=0)
    assert (only_last[:, -1, -last:] != only_last[:, 0, -last:]).all()


def test_each_member_may_have_its_own_data():
    inputs = normal(5, "inputs", MEMBERS, (7, 4))
    options = {"rule": GradientDescent(0.1), "record": RECORD, "observe": ALL, "chunk": 2}
    seen = train(start(), Samples(inputs, LABELS), **options)
    alone = train([w[1:2] for w in start()], Samples(inputs[1], LABELS), **options)
    torch.testing.assert_close(
        seen.observed["weights"][1:2], alone.observed["weights"], atol=1e-13, rtol=0
    )


def test_leading_axes_are_a_grid_of_members():
    grid = [w.reshape(3, 1, *w.shape[1:]).expand(3, 2, *w.shape[1:]) for w in start()]
    steps = torch.tensor([0.05, 0.1], dtype=torch.float64)  # the second axis of the grid
    options = {"record": RECORD, "observe": ALL, "network": TANH}
    training = train(grid, SAMPLES, rule=GradientDescent(steps), **options)
    seen = training.observed["weights"]
    torch.testing.assert_close(seen[:, 1], run(GradientDescent(0.1)), atol=0, rtol=0)
    assert seen.shape[:3] == (3, 2, 3)
    assert [w.shape for w in training.weights] == [w.shape for w in grid]


def test_observations_have_names_and_do_not_move_afterwards():
    looks = {"loss": State.losses, "first": lambda state: state.weights[0]}
    before = start()
    training = train(
        before,
        SAMPLES,
        rule=GradientDescent(0.1),
        record=RECORD,
        observe=looks,
        network=TANH,
    )
    seen = run(GradientDescent(0.1))
    assert torch.equal(training.observed["first"].flatten(2), seen[..., :24])
    assert torch.equal(training.weights[0].flatten(1), seen[:, -1, :24])
    assert all(torch.equal(a, b) for a, b in zip(before, start(), strict=True))
    error = TANH(training.weights, INPUTS) - LABELS
    torch.testing.assert_close(
        training.observed["loss"][:, -1], 0.5 * error.square().sum(-1).mean(-1)
    )


def test_a_state_knows_its_members_and_its_kernels():
    looks = {
        "members": lambda state: state.members,
        "outputs": lambda state: state.outputs(INPUTS[:2]),
        "tangent": State.tangent_kernel,
        "features": State.feature_kernels,
    }
    seen = train(
        start(),
        SAMPLES,
        rule=GradientDescent(0.1),
        record=torch.tensor([0]),
        observe=looks,
        network=TANH,
        chunk=2,
    ).observed
    assert seen["members"][:, 0].tolist() == [0, 1, 2]
    assert torch.equal(seen["outputs"][:, 0], TANH(start(), INPUTS[:2]))
    assert seen["tangent"].shape == (3, 1, 7, 7, 2, 2)
    assert seen["features"].shape == (3, 1, 2, 7, 7)


def test_any_function_can_be_a_network():
    """A sum of exponentials: two tensors that are no layers."""

    def network(weights, inputs):
        rate, height = weights  # (member, 1, term) each
        return (height * torch.exp(-rate * inputs)).sum(-1, keepdim=True)

    inputs = torch.linspace(0, 2, 9, dtype=torch.float64)[:, None]
    rates = torch.tensor([[[0.5, 2.0]], [[1.0, 3.0]]], dtype=torch.float64)
    heights = torch.ones_like(rates)
    labels = torch.exp(-0.7 * inputs)
    training = train(
        [rates, heights],
        Samples(inputs, labels),
        network=network,
        rule=GradientDescent(0.05),
        record=torch.tensor([0, 1]),
        observe={},
    )
    error = network([rates, heights], inputs) - labels  # (member, sample, 1)
    move = (error * torch.exp(-rates * inputs)).mean(-2, keepdim=True)
    torch.testing.assert_close(training.weights[1], heights - 0.05 * move)
    slide = (error * -inputs * heights * torch.exp(-rates * inputs)).mean(-2, keepdim=True)
    torch.testing.assert_close(training.weights[0], rates - 0.05 * slide)


def test_classes_are_learned_by_cross_entropy():
    classes = torch.tensor([0, 1, 1, 0, 1, 0, 0])
    labels = torch.nn.functional.one_hot(classes).double()
    observe = {"loss": State.losses}
    training = train(
        start(),
        Samples(INPUTS, labels),
        network=TANH,
        loss=cross_entropy,
        rule=GradientDescent(0.5),
        record=torch.tensor([0, 200]),
        observe=observe,
    )
    expected = [nn.functional.cross_entropy(TANH(w, INPUTS), classes) for w in zip(*start())]  # noqa: B905
    torch.testing.assert_close(training.observed["loss"][:, 0], torch.stack(expected))
    assert (training.observed["loss"][:, 1] < 0.1).all()


def test_dtype_and_device_follow_the_weights(device):
    weights = [w.to(device, torch.float32) for w in start()]
    inputs, labels = INPUTS.to(weights[0]), LABELS.to(weights[0])
    training = train(
        weights,
        Batches(Samples(inputs, labels, label_noise=0.1), 2),
        network=Perceptron(torch.tanh, normalize=True, dropout=0.2),
        rule=Adam(0.01),
        record=RECORD,
        observe=ALL,
        seed=0,
    )
    seen = training.observed["weights"]
    assert seen.dtype == torch.float32 and seen.device.type == device.type
    assert training.finite.all()


@pytest.mark.parametrize("network", [TANH, DROPPING], ids=["by hand", "autograd"])
@pytest.mark.parametrize("rule", [GradientDescent(EACH), Adam(EACH), GradientFlow(0.1)])
def test_devices_agree(device, network, rule):
    """From the same draws, in float64: 1e-9 leaves room for another order of summation.

    After 40 steps the flow with dropout makes 1e-7 of a rounding, on one device too.
    """
    record = torch.tensor([0, 20])
    here = run(rule, network=network, record=record, **NOISY)

    def there(thing):
        return thing.to(device) if isinstance(thing, torch.Tensor) else thing

    from toymodels.networks.network import for_members

    seen = train(
        [w.to(device) for w in start()],
        NOISY["data"].each(there, there),
        rule=for_members(rule, there),
        network=for_members(network, there),
        record=record,
        observe=ALL,
        seed=NOISY["seed"],
    ).observed["weights"]
    torch.testing.assert_close(seen.cpu(), here, atol=1e-9, rtol=0)


def test_steps_are_repeated_as_often_as_asked(device):
    """On a GPU through graphs of one and of several steps; what was captured is not executed."""
    count = torch.zeros((), dtype=torch.int64, device=device)
    reported = []
    repeat = graph.Repeat(lambda: count.add_(1), [count])
    repeat(graph.STEPS - 1, reported.append)
    repeat(3 * graph.STEPS + 2, reported.append)
    assert int(count) == sum(reported) == 4 * graph.STEPS + 1


class PretendedGPU:
    """CUDA as far as Repeat asks for it: a graph keeps what was called while it was captured."""

    def __init__(self, monkeypatch, fails=False):
        self.replays, self.recording, self.fails = [], None, fails
        for name in ("CUDAGraph", "graph", "Stream", "stream", "current_stream"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def CUDAGraph(self):
        gpu, calls = self, []

        class Graph:
            def replay(self):
                gpu.replays.append(len(calls))
                for call in calls:
                    call()

        graph = Graph()
        graph.calls = calls
        return graph

    @contextmanager
    def graph(self, graph):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recording = graph.calls
        yield
        self.recording = None

    def stream(self, stream):
        return nullcontext()

    def Stream(self, device=None):
        return SimpleNamespace(wait_stream=lambda other: None)

    current_stream = Stream


@pytest.mark.parametrize("fails", [False, True])
def test_graphs_are_replayed_and_warming_up_leaves_no_trace(monkeypatch, fails):
    gpu = PretendedGPU(monkeypatch, fails)
    count = torch.zeros(())

    def advance():
        if gpu.recording is None:
            count.add_(1)
        else:
            gpu.recording.append(lambda: count.add_(1))

    repeat = graph.Repeat(advance, [count])
    repeat.wanted = True  # as it would be, were the tensor on a GPU
    repeat(3)
    assert not gpu.replays and count == 3, "a few steps are not worth a capture"
    repeat(2 * graph.STEPS + 2)
    assert count == 2 * graph.STEPS + 5
    assert gpu.replays == ([] if fails else [graph.STEPS, graph.STEPS, 1, 1])
    repeat(graph.STEPS)
    assert count == 3 * graph.STEPS + 5
    assert not fails or gpu.replays == []


class OnGPU(torch.Tensor):
    is_cuda = True


def test_graphs_can_be_declined():
    count = torch.zeros(()).as_subclass(OnGPU)
    assert graph.Repeat(lambda: None, [count]).wanted
    assert not graph.Repeat(lambda: None, [count], graph=False).wanted
    assert not graph.Repeat(lambda: None, [torch.zeros(())]).wanted


def test_a_chunk_fits_the_cache(monkeypatch):
    weights = start(1000)
    # per member: 84 weights with gradients, and 7 samples of 13 signals with errors, 8 bytes each
    numbers = 2 * 64 + 2 * 7 * 13
    monkeypatch.setattr(chunks, "LEAST_ROOM", 8)
    monkeypatch.setattr(chunks.os, "sysconf", lambda name: 10 * 8 * numbers + 8)
    assert chunks.chunk_size(weights, INPUTS) == 10
    monkeypatch.setattr(chunks.os, "sysconf", lambda name: 0)
    assert chunks.chunk_size(weights, INPUTS) == 1
    monkeypatch.setattr(chunks.os, "sysconf", lambda name: 1 << 30)
    assert chunks.chunk_size(weights, INPUTS) == 1000


def test_a_small_cache_is_no_reason_for_small_chunks(monkeypatch):
    """Or a step of few small networks would be spent on calls."""
    for size in (0, 1 << 19):
        monkeypatch.setattr(chunks.os, "sysconf", lambda name, size=size: size)
        assert chunks.room(torch.device("cpu")) == chunks.LEAST_ROOM > 1 << 21

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(chunks.os, "sysconf", unknown)
    assert chunks.room(torch.device("cpu")) == chunks.LEAST_ROOM


def test_a_chunk_fills_half_the_free_memory_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert chunks.room(torch.device("cuda")) == 500


def test_the_chunk_is_chosen_unless_given(monkeypatch):
    """Members of one chunk are observed together."""
    sizes = []

    def look(state):
        sizes.append(len(state.members))
        return state.members

    monkeypatch.setattr(chunks, "LEAST_ROOM", 2 * 8 * (2 * 64 + 2 * 7 * 13))
    monkeypatch.setattr(chunks.os, "sysconf", lambda name: 0)
    for data in (SAMPLES, Batches(SAMPLES, 2), Fresh(fresh)):
        run(GradientDescent(0.1), data, observe={"weights": look}, record=torch.tensor([0]))
    assert sizes == [2, 1, 3, 3]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"weights": []}, "at least one layer"),
        (
            {"weights": [w[0, 0] for w in start()]},
            r"weights must be floating tensors .*got .*\(4,\)",
        ),
        ({"weights": [w.long() for w in start()]}, "weights must be floating tensors .*int64"),
        ({"weights": start()[1:]}, "layer 1 must take 4 inputs, got 6"),
        ({"weights": [*start()[:2], start(2)[2]]}, "the same members in every tensor"),
        ({"weights": start(0)}, r"weights must hold at least one member, got \(0, 6, 4\)"),
        ({"data": Samples(INPUTS, LABELS[:5])}, "labels must have shape"),
        ({"data": Samples(INPUTS, LABELS[:, :1])}, "labels must have shape"),
        ({"data": Samples(INPUTS.float(), LABELS.float())}, "share one dtype and device"),
        ({"data": Samples(INPUTS, LABELS, 0.0, torch.ones(2))}, "numbers must be one per member"),
        ({"data": Fresh(fresh, Samples(INPUTS, LABELS[:5]))}, "labels must have shape"),
        ({"data": Fresh(lambda stream, step: (INPUTS[:, :3], LABELS))}, "must take 3 inputs"),
        ({"data": Fresh(fresh), "observe": {"loss": State.losses}}, "watched must be given"),
        ({"record": torch.tensor([3, 3])}, "strictly increasing"),
        ({"record": torch.tensor([-1, 3])}, "strictly increasing"),
        ({"record": []}, "one axis with entries"),
        (
            {"record": torch.linspace(0, 10, 4)},
            "record must be a tensor of whole numbers",
        ),
        ({"record": [0.0, 3.5]}, r"record must hold whole numbers of steps, got \[0.0, 3.5\]"),
        ({"record": [0.0, float("nan")]}, "record must hold whole numbers"),
        ({"data": Batches(SAMPLES, 2), "seed": None}, "seed must be given, got None: .*mini-batch"),
        ({"network": DROPPING, "seed": None}, "seed must be given, got None: .*dropout 0"),
        ({"chunk": 0}, "chunk must be a positive whole number, got 0"),
        ({"rule": GradientDescent(torch.ones(2))}, "numbers must be one per member"),
    ],
)
def test_impossible_requests_are_refused(change, what):
    request = {"weights": start(), "data": SAMPLES, "rule": GradientDescent(0.1)}
    request |= {"record": RECORD, "observe": ALL, "seed": 0} | change
    weights, data = request.pop("weights"), request.pop("data")
    with pytest.raises(ValueError, match=what):
        train(weights, data, **request)


@pytest.mark.parametrize("observe", [everything, None, {"loss": 3}])
def test_what_is_observed_has_names(observe):
    with pytest.raises(ValueError, match="observe must be names with functions of a State, got"):
        check_observe(observe)


@pytest.mark.parametrize("size", [0, -1, True])
def test_a_batch_has_at_least_one_sample(size):
    with pytest.raises(ValueError, match="size must be a"):
        Batches(SAMPLES, size)


@pytest.mark.parametrize("data", [Batches(SAMPLES, 1), Samples(INPUTS[:1], LABELS[:1])])
def test_one_sample_cannot_be_normalized(data):
    """Less its own mean it is 0 in every unit: nothing would be learned, without a word."""
    with pytest.raises(ValueError, match="normalize must see two samples or more, got 1"):
        run(GradientDescent(0.1), data, network=Perceptron(torch.tanh, normalize=True))


def test_arrays_and_numbers_of_numpy_will_do():
    options = {"rule": GradientDescent(np.float64(0.1)), "record": np.array([0, 5, STEPS])}
    data = Batches(Samples(INPUTS.numpy(), LABELS.tolist()), np.int64(3))
    seen = train(start(), data, seed=np.int64(4), observe=ALL, **options)
    expected = run(GradientDescent(0.1), Batches(SAMPLES, 3), network=None, seed=4)
    assert torch.equal(seen.observed["weights"], expected)


def test_training_is_an_experiment_whatever_went_in(monkeypatch):
    monkeypatch.setattr(origin, "_following", True)
    weights = [origin.marked(w, "theory") for w in start()]
    training = train(weights, SAMPLES, rule=GradientDescent(0.1), record=[0, 1], observe=ALL)
    assert origin.of(training) == {"experiment"}


@pytest.mark.parametrize("record", [[0, 5, 12], range(0, 13, 4), torch.tensor([0.0, 6.0])])
def test_records_are_whole_numbers_however_they_are_written(record):
    step = train(start(), SAMPLES, rule=GradientDescent(0.1), record=record, observe={}).step
    assert step.dtype == torch.int64 and step.tolist() == [int(x) for x in record]


def test_a_member_that_diverges_is_flagged_and_spares_the_others():
    steps = torch.tensor([0.1, 100.0, 0.1], dtype=torch.float64)
    options = {"network": None, "record": torch.tensor([0, 1, 400])}
    training = train(start(), SAMPLES, rule=GradientDescent(steps), observe=ALL, **options)
    assert training.finite.tolist() == [[True] * 3, [True, True, False], [True] * 3]
    calm = run(GradientDescent(0.1), **options)
    assert torch.equal(training.observed["weights"][::2], calm[::2])
    with pytest.raises(FloatingPointError, match="1 of 3 members .* the first before step 400"):
        training.require_finite()


def test_weights_that_diverge_unseen_are_flagged():
    training = train(
        start(),
        SAMPLES,
        rule=GradientDescent(100.0),
        record=torch.tensor([0, 400]),
        observe={"members": lambda state: state.members},
    )
    assert training.finite.tolist() == [[True, False]] * 3


def test_sound_training_passes_the_check():
    training = train(
        start(),
        SAMPLES,
        rule=GradientDescent(0.1),
        record=RECORD,
        observe=ALL,
    )
    assert training.require_finite() is training and torch.equal(training.step, RECORD)


def test_long_training_shows_its_progress(capsys, monkeypatch):
    monkeypatch.setattr("toymodels.networks.ensemble.DELAY", 0)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for progress, shown in ((None, True), (True, True), (False, False)):
        run(GradientDescent(0.1), progress=progress)
        assert ("training: 100%" in capsys.readouterr().err) == shown
    monkeypatch.setenv("TQDM_DISABLE", "1")
    run(GradientDescent(0.1))
    assert capsys.readouterr().err == ""
