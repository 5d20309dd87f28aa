"""What people slip into every public function is answered by a number or by a sentence.

In processes without the shape checks of the other tests: as a user calls.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = ["numerics", "networks", "limits", "sweeps", "page"]
PLACES += sorted(p.stem for p in (ROOT / "toymodels").glob("[a-z]*.py"))
PROCESSES = 4  # each imports all models, which takes longer than what it asks of one


@pytest.mark.parametrize("places", [PLACES[k::PROCESSES] for k in range(PROCESSES)], ids=" ".join)
def test_nobody_is_left_alone(places):
    command = [sys.executable, "-m", "tests.bad_arguments", *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
