"""Generation: run the model, sample a token, append it, repeat."""

from scratchgpt.generation.loop import generate_batch, generate_tokens
from scratchgpt.generation.settings import GenerationSettings

__all__ = ["GenerationSettings", "generate_batch", "generate_tokens"]
