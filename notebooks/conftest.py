"""What nbval compares here: the claims and the printed numbers of every cell, as numbers."""

import pytest
from nbval.plugin import IPyNbCell


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if isinstance(item, IPyNbCell):
        from _ext import records  # not earlier: the hook of tests/conftest.py comes first

        faults = records.differences(item.cell.outputs, item.test_outputs)
        if faults:
            item.raise_cell_error("Cell outputs differ", "\n".join(faults))
    return result
