"""The same training with PyTorch, eagerly; equal settings mean equal weights, batches and schedule."""

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
    """The model of a text in training."""

    def __init__(self, training: TrainingSettings, text: Text, threads: int) -> None:
        if text.config.dropout:
            raise ValueError(f"dropout is {text.config.dropout}; the PyTorch model here has none")
        torch.set_num_threads(threads)
        self.training, self.text = training, text
        self.params = sg.GPT(text.config).init(training.seed)
        self.tensors = torch_gpt.tensors_of(self.params)
        self.optimizer = adamw(self.tensors.values(), lr=training.learning_rate, **training.hyperparameters)

    def step(self, step: int) -> None:
        """Draw a batch and take a step on it."""
        rng = step_rng(self.training.seed, step)
        batch = data.random_batch(self.text.train, self.training.batch_size, self.text.config.block_size, rng)
        x, y = (torch.from_numpy(tokens).long() for tokens in batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch_gpt.loss(self.text.config, self.tensors, x, y).backward()
        torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.training.grad_clip or math.inf)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.training, step)
        self.optimizer.step()

    def weights(self) -> sg.ParamVector:
        """Return the weights as they are now, in a vector of ours."""
        for name, view in self.params.items():
            view[...] = self.tensors[name].detach().numpy()
        return self.params
