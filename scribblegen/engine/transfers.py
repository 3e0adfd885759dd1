"""Tensors between host and device without making either wait."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on `device`. To a GPU through pinned memory: a plain copy would wait for the queue."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, eq=False)
class HostCopy:
    """Tensors on their way to the host. Ask for them late, from another thread."""

    tensors: Tensor
    arrival: torch.cuda.Event | None

    def get(self, index: int) -> Tensor:
        """The `index`-th tensor of the batch; waits for it to arrive."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.tensors[index]


def to_host(tensors: Tensor) -> HostCopy:
    """Starts the copy of a batch to the host, behind what the current stream does."""
    if tensors.device.type != "cuda":
        return HostCopy(tensors.cpu(), None)
    copied = torch.empty_like(tensors, device="cpu", pin_memory=True)
    copied.copy_(tensors, non_blocking=True)
    arrival = torch.cuda.Event()
    arrival.record()
    return HostCopy(copied, arrival)


class SideStream:
    """On a GPU, a queue of its own for work that the main one need not wait for."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @contextlib.contextmanager
    def after(self, *tensors: Tensor) -> Iterator[None]:
        """Work in the `with` block starts when `tensors`, of the main queue, are there."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        for tensor in tensors:
            tensor.record_stream(self._stream)  # its memory is not given away before
        with torch.cuda.stream(self._stream):
            yield
