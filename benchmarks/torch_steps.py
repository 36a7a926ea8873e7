"""The same training step with PyTorch: eager or compiled, in float32 or with bfloat16 autocast."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch._dynamo  # PyTorch loads it at the first step of any optimizer; here it is part of the import

import scratchgpt as sg
from benchmarks import torch_gpt
from benchmarks.models import Row, random_batch


def training_step(
    row: Row, threads: int, compiled: bool = False, bfloat16: bool = False
) -> Callable[[], torch.Tensor]:
    """Return a function that takes one step from the same weights as ours and returns the loss.

    `compiled` compiles the whole loss; the first call then takes a minute and needs a C++ compiler.
    """
    torch.set_num_threads(threads)
    weights = torch_gpt.tensors_of(sg.GPT(row.config).init())
    optimizer = adamw(weights.values(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    x, y = (torch.tensor(tokens) for tokens in random_batch(row))

    def loss_of(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch_gpt.loss(row.config, weights, x, y)

    if compiled:
        torch._dynamo.reset()
        loss_of = torch.compile(loss_of, dynamic=False)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = loss_of(weights, x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def adamw(tensors: Iterable[torch.Tensor], weight_decay: float, **settings: Any) -> torch.optim.AdamW:
    """Return the fused AdamW, which decays matrices only, as ours does."""
    tensors = list(tensors)
    groups = [
        {"params": [tensor for tensor in tensors if tensor.ndim >= 2], "weight_decay": weight_decay},
        {"params": [tensor for tensor in tensors if tensor.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True, **settings)
