"""A step that is repeated many times: as a loop, or on a GPU as CUDA graphs.

Launching a kernel costs a few microseconds, more than the kernel of a small stack takes. A CUDA
graph launches all kernels of several steps at once.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

STEPS = 16  # captured in one graph
WARM_UP = 3  # steps before a capture, as libraries set themselves up in the first ones


class Repeat:
    """Repeat ``advance``, which changes the tensors in ``state`` in place and nothing else.

    On a GPU two graphs are captured at first use, of one step and of several. A step that cannot be
    captured (it waits for the device, say) is run as it is.
    """

    def __init__(self, advance: Callable[[], None], state: Sequence[Tensor], *, graph: bool = True):
        self.advance, self.state = advance, state
        self.wanted = graph and state[0].is_cuda
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}

    def __call__(self, times: int, report: Callable[[int], object] = lambda steps: None) -> None:
        if self.wanted and times >= STEPS:
            self.wanted = False  # one try
            self._capture()
        while times > 0:
            steps = max((n for n in self.graphs if n <= times), default=1)
            if steps in self.graphs:
                self.graphs[steps].replay()
            else:
                self.advance()
            times -= steps
            report(steps)

    def _capture(self) -> None:
        before = [x.clone() for x in self.state]
        try:
            side = torch.cuda.Stream(self.state[0].device)
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UP):
                    self.advance()
            torch.cuda.current_stream().wait_stream(side)
            for steps in (1, STEPS):
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    for _ in range(steps):
                        self.advance()
                self.graphs[steps] = graph
        except RuntimeError:  # eager then, and without a word: the numbers are the same
            self.graphs = {}
        finally:
            for now, then in zip(self.state, before, strict=True):
                now.copy_(then)
