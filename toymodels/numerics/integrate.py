"""Ordinary differential equations for a whole stack of systems at once.

``solve`` hands the stack to SciPy's adaptive DOP853 or LSODA as one system: a thousand modes for
the price of a few. The step is chosen for the most demanding member, so a member's last digits
depend on its company, within the tolerance. Networks are integrated with fixed steps: see
``ensemble``.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Tensor

from toymodels.numerics.clock import check_time
from toymodels.numerics.door import door
from toymodels.numerics.quantity import require

SHORTEST = 1e-100  # span of an integration: LSODA never returns from much shorter ones
Rate = Callable[[Tensor, Tensor], Tensor]  # (time, state[*batch, state]) -> d state / d time


@door
def solve(
    rate: Rate,
    start: Float[Tensor, "*batch state"],
    time: Float[Tensor, " time"],
    *,
    rtol: float = 1e-11,
    atol: float = 1e-13,
    bandwidth: int | None = None,
) -> Float[Tensor, "*batch time state"]:
    """States at each of ``time``, starting from ``start`` at time 0.

    Integrates in float64 and returns the dtype of ``start``. ``rtol`` and ``atol`` bound the error
    of a step for each member alone. ``atol`` must lie well below the square of the smallest
    quantity that matters: integrate logarithms for escapes from tiny starts. ``bandwidth`` is for
    stiff systems in which an entry moves only the ``bandwidth`` next ones to either side: LSODA,
    which turns to implicit steps. Raises ValueError on unsorted or negative times, a start that is
    not finite and tolerances that are not positive, and RuntimeError when the rate is NaN or the
    integrator gives up.
    """
    check_time(time)
    shape = start.shape
    require("start", start, start == start, "finite", "nothing moves from infinity")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}: steps need a bound")

    def flat_rate(t: float, y: np.ndarray) -> np.ndarray:
        # in float64 whatever the start: rounding in float32 would starve the step control
        state = torch.from_numpy(y).to(start.device).reshape(shape)
        moment = torch.as_tensor(t, dtype=torch.float64, device=start.device)
        found = rate(moment, state).reshape(-1).double().cpu().numpy()
        if np.isnan(found).any():  # SciPy would try ever smaller steps for ever
            raise RuntimeError(f"the rate must be a number, got NaN at t = {t:g}")
        return found

    # SciPy looks at the mean square error of the whole stack: one member may hold all of it
    share = max(start[..., 0].numel(), 1) ** -0.5
    span = max(float(time[-1]), SHORTEST)
    method = {"method": "DOP853"}
    if bandwidth is not None:  # the state is the last axis: neighbours stay neighbours when flat
        band = min(bandwidth, start.numel() - 1)
        method = {"method": "LSODA", "lband": band, "uband": band}
    # the solver wants each time once; it interpolates between its steps at 7th order
    points, where = np.unique(time.double().cpu().numpy(), return_inverse=True)
    if np.isinf(flat_rate(0.0, start.reshape(-1).double().cpu().numpy())).any():
        raise ValueError("rate must be finite at the start, got infinity: no step is short enough")
    solution = solve_ivp(
        flat_rate,
        (0.0, span),
        start.reshape(-1).double().cpu().numpy(),
        **method,
        t_eval=points,
        rtol=max(rtol * share, 100 * np.finfo(float).eps),  # below that SciPy refuses
        atol=atol * share,
    )
    if not solution.success:
        raise RuntimeError(f"the integrator gave up before t = {span:g}: {solution.message}")
    states = torch.from_numpy(solution.y.T.copy()).to(start)  # (distinct time, batch * state)
    return states[torch.from_numpy(where)].reshape(len(time), *shape).movedim(0, -2)
