"""Training on a text with PyTorch, eagerly: the same initial weights, batches and schedule as ours."""

import math

import torch

import scratchgpt as sg
from benchmarks import torch_gpt
from benchmarks.curve import Text, learning_rate
from benchmarks.torch_steps import adamw
from scratchgpt import data
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.settings import TrainingSettings


class TorchTrainer:
    """A model in training; see `benchmarks.curve.Trainer`. Its dropout masks are PyTorch's own."""

    def __init__(
        self,
        training: TrainingSettings,
        text: Text,
        threads: int | None = None,
        device: str = "cpu",
        bfloat16: bool = False,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.manual_seed(training.seed)
        self.training, self.text = training, text
        self.device, self.bfloat16 = device, bfloat16
        self.params = sg.GPT(text.config).init(training.seed)
        self.tensors = torch_gpt.tensors_of(self.params, device)
        self.optimizer = adamw(self.tensors.values(), lr=training.learning_rate, **training.hyperparameters)

    def step(self, step: int) -> None:
        """Draw the batch of optimizer step `step`, counted from 0, and take it, without waiting for a GPU."""
        training, config = self.training, self.text.config
        rng = step_rng(training.seed, step)
        batch = data.random_batch(self.text.train, training.batch_size, config.block_size, rng)
        x, y = (torch.from_numpy(tokens).long().to(self.device, non_blocking=True) for tokens in batch)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16):
            loss = torch_gpt.loss(config, self.tensors, x, y, config.dropout)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.tensors.values(), training.grad_clip or math.inf)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(training, step)
        self.optimizer.step()

    def weights(self) -> sg.ParamVector:
        """Return a copy of the weights after the last step, in a vector of ours; waits for a GPU."""
        for name, view in self.params.items():
            view[...] = self.tensors[name].detach().cpu().numpy()
        return self.params
