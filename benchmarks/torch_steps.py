"""A training step with PyTorch: eager or compiled, in float32 or with bfloat16 autocast."""

from collections.abc import Iterable
from typing import Any

import torch
import torch._dynamo  # PyTorch loads it at the first step of any optimizer; here it is part of the import

import scratchgpt as sg
from benchmarks import torch_gpt
from benchmarks.models import Row, random_batch

LEARNING_RATE = 1e-3


class TorchStep:
    """A model in training that takes a step on the same batch with every call.

    Weights and batch are those of `our_steps.training_step`. Compiled, the whole loss is one compiled
    function; the first call then takes a minute and needs a C++ compiler.
    """

    def __init__(self, row: Row, compiled: bool, bfloat16: bool, device: str) -> None:
        self._device, self._bfloat16 = device, bfloat16
        self._weights = torch_gpt.tensors_of(sg.GPT(row.config).init(), device)
        self._optimizer = adamw(
            self._weights.values(), lr=LEARNING_RATE, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
        )
        self._batch = [torch.tensor(tokens, device=device) for tokens in random_batch(row)]

        def loss_of(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch_gpt.loss(row.config, weights, x, y)

        if compiled:
            torch._dynamo.reset()
            loss_of = torch.compile(loss_of, dynamic=False)
        self._loss_of = loss_of

    def __call__(self) -> torch.Tensor:
        """Take a step (forward, backward, clipping, AdamW) and return the loss, detached."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device, dtype=torch.bfloat16, enabled=self._bfloat16):
            loss = self._loss_of(self._weights, *self._batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._weights.values(), 1.0)
        self._optimizer.step()
        return loss.detach()

    def drop_gradients(self) -> None:
        """Free the memory of the gradients until the next step."""
        self._optimizer.zero_grad(set_to_none=True)


def training_step(row: Row, threads: int, compiled: bool = False, bfloat16: bool = False) -> TorchStep:
    """Return a step on the CPU with this number of threads."""
    torch.set_num_threads(threads)
    return TorchStep(row, compiled, bfloat16, "cpu")


def adamw(tensors: Iterable[torch.Tensor], weight_decay: float, **settings: Any) -> torch.optim.AdamW:
    """Return the fused AdamW, which decays only matrices, as ours does."""
    tensors = list(tensors)
    groups = [
        {"params": [tensor for tensor in tensors if tensor.ndim >= 2], "weight_decay": weight_decay},
        {"params": [tensor for tensor in tensors if tensor.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True, **settings)
