"""Text to token ids and back."""

from scratchgpt.tokenizers.char import CharTokenizer

__all__ = ["CharTokenizer"]
