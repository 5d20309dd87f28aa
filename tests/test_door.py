"""What people type works, or is refused by a sentence that names the argument."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Complex, Float, Int, Num, Shaped
from torch import Tensor

from toymodels.numerics.door import Untouched, door, untouched

F = torch.nn.functional
DOUBLE = torch.float64


@door
@dataclass(frozen=True)
class Model:
    target: Float[Tensor, "*batch mode"]
    start: float | Tensor = 1.0
    depth: int = 2
    activation: Callable[[Tensor], Tensor] = torch.tanh


@door
def seen(
    model: Model,
    time: Float[Tensor, " time"],
    *,
    seed: int = 0,
    size: float = 1.0,
    widths: Sequence[int] = (1,),
    layers: float | Tensor | Sequence[float | Tensor] = 1.0,
    weight: Float[Tensor, "*batch time"] | None = None,
    record: Int[Tensor, " record"] | None = None,
    count: Num[Tensor, "*batch"] | None = None,
    mask: Bool[Tensor, " mask"] | None = None,
    wave: Complex[Tensor, " wave"] | None = None,
    square: Float[Tensor, "row 2"] | None = None,
    steps: Shaped[Tensor, " steps"] | None = None,
    word: str = "",
    flag: bool = False,
) -> dict:
    return locals()


def test_lists_arrays_and_whole_numbers_become_tensors_of_the_declared_kind():
    for target in (
        [1, 2],
        (1.0, 2.0),
        np.array([1.0, 2.0]),
        np.array([1, 2]),
        torch.tensor([1, 2]),
    ):
        model = Model(target)
        assert model.target.dtype == DOUBLE and model.target.tolist() == [1.0, 2.0]
    assert Model([[1, 2], [3, 4]]).target.shape == (2, 2)
    assert Model([1.0], start=3).start == 3.0 and isinstance(Model([1.0], start=3).start, float)
    assert Model([1.0], start=[3]).start.dtype == DOUBLE
    found = seen(Model([1.0]), [0, 1], record=[0.0, 3.0], count=[1, 2], mask=[True], wave=[1j])
    assert found["time"].dtype == DOUBLE and found["record"].dtype == torch.int64
    assert found["count"].dtype == torch.int64 and found["wave"].is_complex()
    assert seen(Model([1.0]), [0.0], steps=[1, 2])["steps"].dtype == torch.int64
    assert seen(Model([1.0]), [0.0], steps=[0.5])["steps"].dtype == DOUBLE


def test_numbers_of_numpy_and_torch_become_pythons_own():
    for seed in (np.int64(3), torch.tensor(3), np.array(3)):
        assert seen(Model([1.0]), [0.0], seed=seed)["seed"] == 3
        assert type(seen(Model([1.0]), [0.0], seed=seed)["seed"]) is int
    assert type(Model([1.0], depth=np.int32(3)).depth) is int
    assert seen(Model([1.0]), [0.0], size=np.float32(0.5))["size"] == 0.5
    assert seen(Model([1.0]), [0.0], size=torch.tensor(0.5))["size"] == 0.5
    assert seen(Model([1.0]), [0.0], widths=np.array([3, 4]))["widths"] == (3, 4)
    assert seen(Model([1.0]), [0.0], widths=[np.int64(3)])["widths"] == [3]


def test_a_list_stays_one_where_lists_are_declared():
    """Steps of three layers are no steps of three members."""
    assert seen(Model([1.0]), [0.0], layers=[0.1, 0.2])["layers"] == [0.1, 0.2]
    assert seen(Model([1.0]), [0.0], layers=np.array([0.1, 0.2]))["layers"].shape == (2,)


def test_one_precision_for_a_call():
    narrow = torch.ones(2, dtype=torch.float32)
    assert Model(narrow, start=[1.0, 2.0]).start.dtype == torch.float32, "Python's have none"
    assert Model(narrow, start=torch.ones(2, dtype=DOUBLE)).target.dtype == DOUBLE
    assert Model(narrow, start=np.ones(2)).target.dtype == DOUBLE
    time = torch.linspace(0, 1, 3, dtype=DOUBLE)
    assert seen(Model(narrow), time)["time"].dtype == torch.float32, "that of the model"
    assert seen(Model([1.0]), time.float())["time"].dtype == DOUBLE


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Model("abc"), "target must be a tensor of numbers with axes .*, got 'abc'"),
        (lambda: Model([1.0, float("nan")]), "target must not hold NaN"),
        (lambda: Model([1j]), "target must be a tensor of numbers .*complex"),
        (lambda: Model([True]), "target must be a tensor of numbers .*bool"),
        (lambda: Model([]), r"target must be a tensor of numbers .*got \[\]"),
        (lambda: Model(torch.ones(2, 0)), "target must not be empty"),
        (lambda: Model(1.0), r"target must be .* with axes \(\.\.\., mode\), got 1.0"),
        (lambda: Model([[1.0], [2.0, 3.0]]), "target must be a tensor"),
        (lambda: Model(None), "target must be .*, got None"),
        (lambda: Model([1.0], "x"), "start must be a number or a tensor, got 'x'"),
        (lambda: Model([1.0], float("nan")), "start must be a number, got NaN"),
        (lambda: Model([1.0], True), "start must be a number or a tensor, got True"),
        (lambda: Model([1.0], depth=2.5), "depth must be a whole number, got 2.5"),
        (lambda: Model([1.0], depth=2.0), "depth must be a whole number, got 2.0"),
        (lambda: Model([1.0], depth=True), "depth must be a whole number, got True"),
        (lambda: Model([1.0], depth=None), "depth must be a whole number, got None"),
        (lambda: Model([1.0], activation="relu"), "activation must be a function, got 'relu'"),
        (lambda: seen("m", [0.0]), "model must be Model, got 'm'"),
        (lambda: seen(Model([1.0]), 3.0), r"time must be .* with axes \(time\), got 3.0"),
        (lambda: seen(Model([1.0]), [[0.0]]), r"time must be .*got shape \(1, 1\)"),
        (lambda: seen(Model([1.0]), [0.0], size=[1.0]), "size must be a number, got"),
        (lambda: seen(Model([1.0]), [0.0], size=1j), "size must be a number, got 1j"),
        (
            lambda: seen(Model([1.0]), [0.0], weight=[1.0, 2.0]),
            "weight must have 1 entries .*'time'",
        ),
        (
            lambda: seen(Model([1.0]), [0.0], record=[0.5]),
            "record must be a tensor of whole numbers",
        ),
        (lambda: seen(Model([1.0]), [0.0], mask=[1.0]), "mask must be a tensor of flags"),
        (lambda: seen(Model([1.0]), [0.0], widths="abc"), "widths must be Sequence"),
        (lambda: seen(Model([1.0]), [0.0], widths=3), "widths must be Sequence"),
        (lambda: seen(Model([1.0]), [0.0], widths=[3, True]), "widths must be a row of whole"),
        (lambda: seen(Model([1.0]), [0.0], word=3), "word must be a word, got 3"),
        (lambda: seen(Model([1.0]), [0.0], flag=1), "flag must be True or False, got 1"),
        (lambda: seen(Model([1.0]), [0.0], weight="x" * 99), r"weight must be .*\.\.\.$"),
    ],
)
def test_all_else_is_refused_by_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_what_is_missing_or_unknown_is_python_s_own_error():
    with pytest.raises(TypeError, match="'time'"):
        seen(Model([1.0]))
    with pytest.raises(TypeError, match="'moment'"):
        seen(Model([1.0]), [0.0], moment=3)


@pytest.mark.parametrize(
    "function", [torch.tanh_, torch.nn.ReLU(inplace=True), lambda z: F.elu(z, inplace=True)]
)
def test_functions_in_place_are_kept_from_their_arguments(function):
    x = torch.tensor([-1.0, 2.0], dtype=DOUBLE)
    kept = Model([1.0], activation=function).activation
    assert isinstance(kept, Untouched)
    kept(x)
    assert x.tolist() == [-1.0, 2.0]


def test_other_functions_are_handed_on():
    for function in (torch.tanh, torch.relu, lambda z: z[0, 0, 0]):
        assert untouched(function) is function


def test_a_frozen_dataclass_stays_one():
    model = replace(Model([1.0]), depth=3)
    assert model.depth == 3 and Model.__name__ == "Model"
    with pytest.raises(AttributeError):
        model.depth = 4


def test_in_inference_mode_networks_can_be_trained():
    @door
    def slope(x: Float[Tensor, " a"], weights: Sequence[Tensor]):
        leaves = [x.requires_grad_(True), *(w.requires_grad_(True) for w in weights)]
        return torch.autograd.grad(sum((w * w).sum() for w in leaves), leaves)

    with torch.inference_mode():
        x = torch.ones(2)
        assert [g.tolist() for g in slope(x, [x])] == [[2.0, 2.0]] * 2
        assert torch.is_inference_mode_enabled()
    assert [g.tolist() for g in slope(x, [x])] == [[2.0, 2.0]] * 2  # made in it, used outside


def test_a_device_is_named_and_a_range_is_a_list():
    @door
    def there(x: Float[Tensor, " a"], device: torch.device | str | None = None):
        return x, device

    assert there(range(3), "cpu")[1] == torch.device("cpu")
    assert there(range(3))[0].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="device must be the name of a device, got 'word'"):
        there([1.0], "word")


def test_what_declares_no_type_or_takes_any_number_of_arguments_is_handed_on():
    @door
    def free(x, *rest: int, named="word", **more: float):
        return x, rest, named, more

    thing = object()
    assert free(thing, "a", named=thing, other="b") == (thing, ("a",), thing, {"other": "b"})


def test_inside_the_package_nothing_is_looked_at():
    @door
    def inner(x: Float[Tensor, " a"]):
        return x

    @door
    def outer(x: Float[Tensor, " a"]):
        return inner([x])

    assert outer([1.0])[0].tolist() == [1.0]
    with pytest.raises(ValueError, match="x must be"):
        inner("x")


def test_an_error_inside_does_not_leave_the_door_open():
    @door
    def broken(x: Float[Tensor, " a"]):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        broken([1.0])
    with pytest.raises(ValueError, match="x must be"):
        broken("x")
