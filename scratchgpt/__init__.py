"""scratchgpt: a GPT written from scratch, every gradient by hand and every gradient checked."""

from scratchgpt.utils import openblas as openblas  # before NumPy is imported; see there

# isort: split

from scratchgpt import gradcheck
from scratchgpt.backends import Backend, get_backend
from scratchgpt.config import GPTConfig
from scratchgpt.errors import InputError
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.loading import load
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.nn.passes import logits, loss, loss_and_grads
from scratchgpt.optim import EMA, AdamW, clip_grad_norm, cosine_with_warmup, learning_rate, make_optimizer
from scratchgpt.tokenizers import CharTokenizer

__all__ = [
    "EMA",
    "GPT",
    "AdamW",
    "Backend",
    "BoundModel",
    "CharTokenizer",
    "GPTConfig",
    "InputError",
    "LanguageModel",
    "Param",
    "ParamVector",
    "clip_grad_norm",
    "cosine_with_warmup",
    "get_backend",
    "gradcheck",
    "learning_rate",
    "load",
    "logits",
    "loss",
    "loss_and_grads",
    "make_optimizer",
]

__version__ = "0.1.0"
