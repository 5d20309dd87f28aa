"""What the header of a stored result says of it."""

import json
from pathlib import Path

from toymodels.sweeps.fingerprint import packages

ROOT = Path(__file__).parents[1]


def provenance(script: str, **settings: object) -> dict:
    """The script, given as its ``__file__``, the versions it ran with, and its settings.

    All of it is as it comes back from the store.

    The sources of the package are left out: a result hangs on little of them, and tests compute a
    part of each again.
    """
    versions = {name: version for name, version in packages().items() if name != "toymodels"}
    name = Path(script).relative_to(ROOT).as_posix()
    return json.loads(json.dumps({"script": name, **versions, **settings}))
