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


@pytest.mark.parametrize("place", PLACES)
def test_nobody_is_left_alone(place):
    command = [sys.executable, "-m", "tests.bad_arguments", place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
