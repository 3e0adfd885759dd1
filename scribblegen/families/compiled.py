"""torch.compile for calls of one shape. Where it fails they run as they are, with one warning."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def compiled(call: Callable[..., Tensor], *, cuda_graphs: bool = False) -> Callable[..., Tensor]:
    """`call`, compiled at its first use.

    Nothing is tuned by timing: two processes get the same kernels, and so the same bits.

    Args:
        call: tensors in, one tensor out; always of the same shapes.
        cuda_graphs: on a GPU replay it as one graph. Only for calls of one stream.
    """
    graphs = cuda_graphs and torch.cuda.is_available()
    fast = torch.compile(call, dynamic=False, mode="reduce-overhead" if graphs else None)
    failed = False

    def run(*arguments: object) -> Tensor:
        nonlocal failed
        if failed:
            return call(*arguments)
        try:
            if not graphs:
                return fast(*arguments)
            torch.compiler.cudagraph_mark_step_begin()
            return fast(*arguments).clone()  # the next replay writes over the graph's own output
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # of whatever kind: the compiler's are many
            logger.warning("torch.compile failed, going on without it: %s", _first_line(error))
            failed = True
            return call(*arguments)

    return run


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
