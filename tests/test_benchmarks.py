"""The benchmark refuses what would mean nothing, and its records say only what they should."""

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from scipy.stats import linregress
from torch.utils.flop_counter import FlopCounterMode

from _ext import book
from benchmarks import __main__ as command
from benchmarks import chapters, gpu, machine, problems, race, report, rooms, study
from benchmarks.entrants import with_scipy, with_torch, with_toymodels
from benchmarks.problems import Size
from benchmarks.race import Disagreement, Entrant, Pool, gate
from benchmarks.rooms import Missing, Room
from benchmarks.worker import Desk

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
SMALL = Size(3, 5, 7, 4, inputs=6)
ROUNDING = 1e-12  # double precision, a few steps


# ---- the gate ------------------------------------------------------------------------------------


def test_the_gate_measures_the_largest_deviation_relative_to_the_largest_entry():
    right = {"state": np.array([1.0, -4.0]), "loss": np.array([2.0])}
    close = {"state": np.array([1.0, -4.0 + 4e-7]), "loss": np.array([2.0])}
    assert gate({"a": right, "b": close}, None, 1e-6) == {"a": 0.0, "b": pytest.approx(1e-7)}
    assert gate({"b": close}, right, 1e-6) == {"b": pytest.approx(1e-7)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": np.array([1.0, -4.0001])},
        {"state": np.array([1.0, np.nan])},
        {"state": np.array([1.0])},
        {"state": np.array([[1.0, -4.0]])},
        {"loss": np.array([1.0, -4.0])},
    ],
    ids=["other value", "not a number", "too short", "another axis", "another name"],
)
def test_the_gate_refuses_and_names_a_peer_that_computes_something_else(wrong):
    right = {"state": np.array([1.0, -4.0])}
    with pytest.raises(Disagreement, match="the peer"):
        gate({"ours": right, "the peer": wrong}, None, 1e-6)
    with pytest.raises(Disagreement, match="the peer"):
        gate({"the peer": wrong}, right, 1e-6)


def trained(function, size=SMALL, **changed):
    problem = problems.ensemble(size) | {k: np.array(v) for k, v in changed.items()}
    answer = function(problem, "float64", "cpu")()
    return {name: value.numpy() for name, value in answer.items()}


ENSEMBLES = {
    "stacked": with_toymodels.stacked,
    "eager": with_toymodels.eager,
    "vmap": with_torch.vectorized,
}


@pytest.mark.parametrize("function", ENSEMBLES.values(), ids=ENSEMBLES)
def test_the_ensembles_that_race_compute_the_same(function):
    loop = trained(with_torch.module_loop)
    gate({"loop": loop, "other": trained(function)}, None, ROUNDING)
    for planted in ({"rate": 0.0501}, {"steps": 5}):
        with pytest.raises(Disagreement, match="other"):
            gate({"loop": loop, "other": trained(function, **planted)}, None, study.ROUNDING)


def test_beyond_the_distinct_members_the_same_ones_come_again():
    size = replace(SMALL, members=2 * problems.DISTINCT)
    answer = trained(with_toymodels.stacked, size)
    assert len(answer["loss"]) == size.members
    half = problems.DISTINCT
    np.testing.assert_allclose(answer["loss"][:half], answer["loss"][half:], rtol=ROUNDING)
    assert len(set(answer["loss"][:half].tolist())) == half
    with pytest.raises(ValueError, match="multiple"):
        problems.ensemble(replace(SMALL, members=problems.DISTINCT + 1))


def test_the_integrators_reach_the_exact_solution_and_a_wrong_start_does_not():
    problem = problems.modes(4)
    exact = problems.learned(problem)
    answers = {
        m.__name__: m.modes(problem, "float64", "cpu")() for m in (with_scipy, with_toymodels)
    }
    answers = {name: {"state": np.asarray(a["state"])} for name, a in answers.items()}
    gate(answers, exact, study.INTEGRATION)
    late = with_scipy.modes(problem | {"start": 0.99 * problem["start"]}, "float64", "cpu")()
    with pytest.raises(Disagreement):
        gate({"late": late}, exact, study.INTEGRATION)


# ---- the processes -------------------------------------------------------------------------------

FAKES = """
import os
import sys
import numpy as np

LIBRARIES = ("numpy",)

def right(problem, precision, device):
    print("what a library prints is no reply")
    return lambda: {"value": problem["value"] * 2, "cores": np.array(CORES())}

def wrong(problem, precision, device):
    return lambda: {"value": problem["value"] * 2.001, "cores": np.array(CORES())}

def fails(problem, precision, device):
    raise OSError("cannot open /home/somebody/file")

def dies(problem, precision, device):
    os._exit(1)

def CORES():
    threads = int(os.environ["OMP_NUM_THREADS"])
    return [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, threads]
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Real processes whose entrants need nothing but numpy."""
    folder = tmp_path_factory.mktemp("entrants")
    (folder / "fakes.py").write_text(FAKES)
    with pytest.MonkeyPatch.context() as patch, Pool() as pool:
        patch.setattr(race, "enter", lambda name, install: Room(sys.executable, (str(folder),)))
        yield pool


def fakes(*names):
    return [Entrant(name, f"fakes:{name}") for name in names]


PROBLEM = {"value": np.arange(3.0)}
HOW = {"rounds": 2, "precision": "float32", "within": 1e-6, "least": 0.0}


def test_processes_solve_on_one_core_with_one_thread_and_report_their_versions(pool, tmp_path):
    stored = problems.store(PROBLEM, tmp_path / "problem.npz")
    (entrant,) = fakes("right")
    work = pool.get(entrant)
    work.prepare("here", entrant, stored, "float64", 0.0)
    answer = work.answer("here", tmp_path / "answer.npz")
    np.testing.assert_array_equal(answer["value"], [0.0, 2.0, 4.0])
    np.testing.assert_array_equal(answer["cores"], [1, 1])
    assert work.round("here") >= 0
    assert work.peak() > 2**20
    assert pool.versions()["numpy"] == np.__version__
    assert pool.get(entrant) is work


def test_a_race_with_a_wrong_peer_is_not_run(pool):
    with pytest.raises(Disagreement, match="wrong"):
        race.race(pool, fakes("right", "wrong"), PROBLEM, **HOW)


def test_peers_that_cannot_take_part_are_listed_with_a_reason_that_names_no_folder(pool):
    absent = Entrant("absent", "no_such_module:anything")
    result = race.race(pool, [*fakes("right", "fails", "dies"), absent], PROBLEM, **HOW)
    assert [entrant["name"] for entrant in result.entrants] == ["right"]
    assert len(result.entrants[0]["seconds"]) == HOW["rounds"]
    reasons = {lost["name"]: lost["reason"] for lost in result.missing}
    assert reasons == {
        "fails": "OSError",
        "dies": "its process ended",
        "absent": "no_such_module is not there",
    }


# ---- the rooms -----------------------------------------------------------------------------------


def test_the_peers_are_pinned():
    for path in (ROOT / "benchmarks").glob("peers-*.txt"):
        lines = path.read_text().split()
        assert lines and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), path.name
    assert not re.search(r"^torch==", "\n".join(lines), re.M), "the book's own torch serves"


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_room_is_made_once_and_made_again_after_a_failure(name, tmp_path, monkeypatch):
    monkeypatch.setattr(rooms, "PEERS", tmp_path / "peers")
    codes, calls = iter([1, 0, 0, 0]), []

    def run(command, **_):
        calls.append(command)
        (tmp_path / "peers" / name).mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, next(codes))

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Missing, match="not made"):
        rooms.enter(name, install=False)
    assert not calls
    with pytest.raises(Missing, match="installed") as error:
        rooms.enter(name)
    assert str(tmp_path) not in str(error.value)
    room = rooms.enter(name)
    made = len(calls)
    assert rooms.enter(name) == room
    assert len(calls) == made
    assert all("--no-deps" in call for call in calls if "install" in call)


def test_entrants_get_one_thread_whatever_their_library():
    asked = Room("python", ("beside",)).environment()
    assert {asked[k] for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {
        "1"
    }
    assert "multi_thread_eigen=false" in asked["XLA_FLAGS"]
    assert asked["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "beside"]


# ---- fits and counts -----------------------------------------------------------------------------


def test_the_fit_recovers_a_power_law_exactly():
    values = [2, 4, 8, 32]
    exponent, error = study.power(values, [3e-4 * v**1.7 for v in values])
    assert exponent == pytest.approx(1.7, abs=1e-12)
    assert error == pytest.approx(0.0, abs=1e-12)


def test_slope_and_standard_error_are_those_of_linear_regression():
    rng = np.random.default_rng(0)
    x, noise = np.array([1.0, 2.0, 4.0, 5.0]), rng.normal(0, 0.3, 4)
    known = linregress(x, 2 * x + noise)
    assert study.slope(x, 2 * x + noise) == pytest.approx((known.slope, known.stderr), rel=1e-12)
    with pytest.raises(ValueError, match="at least 3"):
        study.slope(np.arange(2), np.arange(2))


def test_the_arithmetic_is_what_torch_counts_in_one_step_of_one_network():
    for size in (SMALL, replace(SMALL, hidden=1, samples=11)):
        one = replace(size, members=1, steps=1)
        run = with_torch.module_loop(problems.ensemble(one), "float64", "cpu")
        with FlopCounterMode(display=False) as counter:
            run()
        # the loop also evaluates the last loss, one more pass forward
        last = sum(2 * one.samples * out * into for out, into in one.shapes)
        assert counter.get_total_flops() == problems.arithmetic(one) + last


def test_the_traffic_of_a_small_network_counted_by_hand():
    size = Size(1, width=5, samples=7, steps=1, inputs=3, hidden=1)
    first = {"forward": 15 + 35, "gradient": 15 + 35, "step": 45, "tanh and slope": 5 * 35}
    second = {"forward": 35 + 5 + 7, "gradient": 35 + 5 + 7, "back": 7 + 5 + 35, "step": 15}
    assert problems.traffic(size) == sum(first.values()) + sum(second.values()) + 2 * 7


def test_the_share_is_that_of_the_ceiling_that_would_be_hit_first():
    operations, numbers = problems.arithmetic(SMALL), problems.traffic(SMALL)
    seconds = 1e-3
    roof = {"operations": 4 * operations / seconds, "numbers": 2.5 * numbers / seconds}
    found = gpu.shares(SMALL, seconds, roof)
    assert (found["relevant"], found["share"]) == ("numbers", pytest.approx(0.4))
    found = gpu.shares(SMALL, seconds, roof | {"operations": operations / seconds})
    assert (found["relevant"], found["share"]) == ("operations", pytest.approx(1.0))


# ---- whole records -------------------------------------------------------------------------------


class Here:
    """A pool without processes: the desks of all entrants in this one, and a log of the rounds."""

    log: list[str] = []

    def __init__(self, device="cpu", *, install=True):
        self.device, self.desks = device, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.desks.clear()

    def get(self, entrant):
        if entrant.room != "book":
            raise Missing("its environment is not made")
        if entrant.name not in self.desks:
            self.desks[entrant.name] = DeskHere(entrant)
        return self.desks[entrant.name]

    def versions(self):
        return {"torch": torch.__version__}


class DeskHere:
    """What a Worker offers, without a process. Times the processor, whatever the device."""

    def __init__(self, entrant):
        self.name, self.desk = entrant.name, Desk()
        self.desk.open(entrant.function.split(":")[0], core=-1)

    def prepare(self, slot, entrant, stored, precision, least):
        function = entrant.function.split(":")[1]
        return self.desk.prepare(slot, function, stored, precision, "cpu")["seconds"]

    def round(self, slot):
        Here.log.append(self.name)
        return max(self.desk.round(slot, 1)["seconds"], 1e-9)

    def answer(self, slot, to):
        self.desk.answer(slot, to)
        with np.load(to) as stored:
            return dict(stored)

    def peak(self):
        return self.desk.peak("cpu")["bytes"]


@pytest.fixture(scope="module")
def here():
    with pytest.MonkeyPatch.context() as patch:
        for module in (command, gpu, study):
            patch.setattr(module, "Pool", Here)
        yield patch


@pytest.fixture(scope="module")
def cpu_record(here):
    return command.measure("cpu", quick=True)


@pytest.fixture(scope="module")
def gpu_record(here):
    study_gpu = gpu.study
    here.setattr(torch.cuda, "get_device_name", lambda: "Card 9000")
    here.setattr(gpu, "study", lambda device, *how: study_gpu("cpu", *how))
    return command.measure("gpu", quick=True)


def stays_silent_about_the_machine(text):
    """No host, no folder, no user."""
    words = set(re.findall(r"[\w.-]+", text))
    assert not words & {platform.node(), Path.home().name}
    assert not re.search(r'(?:^|[\s"(])/\w', text), "a folder"
    assert str(ROOT) not in text


def test_the_whole_benchmark_writes_a_record_that_a_page_can_read(cpu_record, tmp_path):
    path = report.write(cpu_record, tmp_path)
    assert path.name == f"{cpu_record['date']}-{machine.slug(machine.processor())}.json"
    assert json.loads(path.read_text()) == cpu_record
    stays_silent_about_the_machine(path.read_text())
    missing = {
        race["kind"]: {lost["name"] for lost in race["missing"]} for race in cpu_record["races"]
    }
    assert missing["ensemble"] == {"jax, jit(vmap)", "jax, jit in a loop"}
    assert missing["kernels"] == {study.WIDE_PEER}
    printed = report.table(cpu_record)
    assert printed.count("missing: its environment is not made") == 5
    assert "not measured" in printed


def test_the_benchmark_of_a_graphics_card_runs_on_a_processor_too(gpu_record, cpu_record, tmp_path):
    path = report.write(gpu_record, tmp_path)
    assert path.name.endswith("-card-9000.json")
    stays_silent_about_the_machine(path.read_text())
    (contest,) = gpu_record["races"]
    assert {entrant["name"] for entrant in contest["entrants"]} == {e.name for e in gpu.ENTRANTS}
    assert max(entrant["deviation"] for entrant in contest["entrants"]) < ROUNDING
    ways = {(row["name"], row["precision"], row["size"]["members"]) for row in gpu_record["large"]}
    assert len(ways) == len(gpu.LARGE) * 2
    assert "of the ceiling on" in report.table(gpu_record)
    show_page(tmp_path, [cpu_record, gpu_record])


def test_rounds_take_turns(here):
    contest = study.ensemble_contest(SMALL, gpu.ENTRANTS[:2])
    Here.log.clear()
    result = study.hold(Here(), contest, rounds=3, least=0.0)
    assert Here.log == 3 * [entrant["name"] for entrant in result["entrants"]]


def test_a_slow_solution_is_a_round_itself():
    """The second one, warm, when it lasts as long as a round; a fast one is repeated instead."""
    worker, asked = object.__new__(race.Worker), []
    worker.device, worker.repeats, worker.timed = "cpu", {}, {}
    seconds = iter([9.0, 0.3, 0.4, 9.0, 0.03, 0.02])

    def ask(order, **fields):
        asked.append(fields.get("repeats", order))
        return {"seconds": next(seconds)}

    worker.ask = ask
    for slot in ("slow", "fast"):
        assert (
            worker.prepare(slot, Entrant(slot, "module:function"), Path("x"), "float64", 0.1) == 9
        )
        if slot == "slow":
            assert [worker.round(slot), worker.round(slot)] == [0.3, 0.4]
    assert worker.round("fast") == 0.02
    assert asked == ["prepare", 1, 1, "prepare", 1, 4]


def test_a_graphics_card_that_disagrees_with_the_processor_is_refused(here, monkeypatch):
    off = {"loss": np.zeros(SMALL.members)}
    wrong = trained(with_torch.module_loop) | off
    monkeypatch.setattr(gpu, "on_processor", lambda sizes: [wrong for _ in sizes])
    (contest,) = gpu.contests([SMALL])
    with pytest.raises(Disagreement):
        study.hold(Here(), contest, 1, 0.0)


def test_every_chapter_of_the_book_is_timed():
    assert [f"chapters/{name}" for name in chapters.CHAPTERS] == book.chapters()
    for sides in chapters.CHAPTERS.values():
        assert set(sides()) == set(chapters.SIDES)


def page_cells():
    return [cell.source for cell in book.read("pages/how_fast").cells if cell.cell_type == "code"]


def show_page(folder, records, monkeypatch=pytest.MonkeyPatch):
    """Run the cells of the page on these records alone."""
    results, pages = folder / "book" / "benchmarks" / "results", folder / "book" / "pages"
    results.mkdir(parents=True), pages.mkdir()
    for record in records:
        report.write(record, results)
    with monkeypatch.context() as patch:
        patch.chdir(pages)
        patch.setattr("matplotlib.pyplot.show", lambda: None)
        space = {}
        for cell in page_cells():
            exec(cell, space)  # the text of the page of this book
    space["plt"].close("all")


# ---- targets and files ---------------------------------------------------------------------------


def entrant(name, *seconds):
    return {
        "name": name,
        "seconds": list(seconds),
        "median": sorted(seconds)[len(seconds) // 2],
        "first": 1.0,
        "deviation": 0.0,
    }


def raced(size, *entrants):
    return study.ensemble_contest(size, ()).record() | {"entrants": list(entrants), "missing": []}


def verdicts(races, scaling=(), kind="cpu", large=()):
    record = {"kind": kind, "races": races, "scaling": list(scaling), "large": list(large)}
    return {target["name"]: target for target in report.targets(record)}


def test_a_target_is_the_median_of_the_ratios_round_by_round():
    """The medians alone would give 100 times; slow rounds hit both, so the truth is 40 times."""
    narrow = problems.SIZES[2]
    found = verdicts(
        [
            raced(
                narrow,
                entrant(study.OURS, 1.0, 1.0, 3.0),
                entrant(study.MODULE_LOOP, 40.0, 20.0, 300.0),
                entrant("quick peer", 0.9, 0.9, 2.7),
            )
        ]
    )
    loop = found[f"256 networks of width 16, times as fast as {study.MODULE_LOOP}"]
    assert (loop["measured"], loop["low"], loop["high"]) == (40.0, 20.0, 100.0)
    assert loop["reached"] is True
    best = found["256 networks of width 16, times as fast as quick peer"]
    assert (best["measured"], best["reached"]) == (pytest.approx(0.9), False)
    assert found[f"{report.MODES}, times as fast as {study.SCIPY_LOOP}"]["reached"] is None


def test_the_cost_in_members_counts_as_linear_up_to_its_bound():
    def linear(exponent):
        law = {"axis": "members", "exponent": exponent, "error": 0.01}
        return verdicts([], [{"axis": "width", "exponent": 2.0, "error": 0.1}, law])[
            "exponent of the cost in the members, at most"
        ]["reached"]

    assert linear(0.97) and linear(1.05)
    assert not linear(1.06)
    assert linear(None) is None


def test_the_share_of_a_graphics_card_is_that_of_the_largest_batch_in_single_precision():
    def row(name, precision, members, share):
        size = replace(problems.SIZES[0], members=members).record()
        seconds = [1.0, 2.0, 2.0]
        return {"name": name, "precision": precision, "size": size, "share": share} | {
            "seconds": seconds
        }

    rows = [
        row(study.OURS, "float32", 1024, 0.9),
        row(study.OURS, "float32", 4096, 0.6),
        row(study.OURS, "float64", 4096, 0.7),
        row(gpu.EAGER, "float32", 4096, 0.8),
        {"name": study.OURS, "precision": "float32", "missing": [], "size": rows_size(8192)},
    ]
    found = verdicts([], kind="gpu", large=rows)["share of the relevant ceiling, width 256"]
    assert (found["measured"], found["low"], found["high"]) == (0.6, 0.6, 1.2)
    assert found["reached"] is True


def rows_size(members):
    return replace(problems.SIZES[0], members=members).record()


def test_a_record_is_written_whole_or_not_at_all(cpu_record, tmp_path, monkeypatch):
    path = report.write(cpu_record, tmp_path)
    before = path.read_text()
    later = cpu_record | {"seconds": 12345}

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            report.write(later, tmp_path)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == before
    report.write(later, tmp_path)
    assert json.loads(path.read_text())["seconds"] == 12345
    wrong = (
        {key: value for key, value in cpu_record.items() if key != "load"},
        cpu_record | {"host": "somewhere"},
        cpu_record | {"chapters": {"oscillator: theory": [-1.0]}},
        cpu_record | {"date": "yesterday"},
    )
    for record in wrong:
        with pytest.raises(jsonschema.ValidationError):
            report.write(record, tmp_path)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_stored_records_are_whole_and_say_what_their_rounds_say(path):
    text = path.read_text("utf8")
    record = json.loads(text)
    report.check(record)
    stays_silent_about_the_machine(text)
    assert not record["quick"]
    assert path.stem == f"{record['date']}-{machine.slug(record['machine']['name'])}"
    assert record["targets"] == report.targets(record)
    for law in record["scaling"]:
        middle = np.median(law["seconds"], -1)
        assert law["exponent"] == pytest.approx(study.power(law["values"], middle)[0])
    for held in record["memory"]:
        if held["slope"] is not None:
            assert held["slope"] == pytest.approx(study.slope(held["members"], held["bytes"])[0])


def test_a_processor_has_been_measured():
    assert any(json.loads(path.read_text())["kind"] == "cpu" for path in RECORDS)


# ---- the machine ---------------------------------------------------------------------------------


def test_a_machine_is_called_after_its_processor():
    assert machine.slug("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz") == (
        "intel-xeon-gold-6248-cpu-2-50ghz"
    )


def test_caches_are_those_that_hold_data(tmp_path, monkeypatch):
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in {"level": level, "type": kind, "size": size}.items():
            (folder / name).write_text(value + "\n")
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    assert machine.caches() == {"L1": "48K", "L2": "2048K"}
    monkeypatch.setattr(machine, "CACHES", tmp_path / "elsewhere")
    assert machine.caches() == {}
