"""What happens to the weights: AdamW, clipping by the global norm, the learning-rate schedule."""

from scratchgpt.optim.adamw import AdamW
from scratchgpt.optim.clip import clip_grad_norm
from scratchgpt.optim.schedule import cosine_with_warmup

__all__ = ["AdamW", "clip_grad_norm", "cosine_with_warmup"]
