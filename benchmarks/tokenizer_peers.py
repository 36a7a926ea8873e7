"""The tokenizers that ours is compared with: Hugging Face tokenizers and tiktoken, written in Rust."""

from collections.abc import Callable

import tiktoken
import tokenizers

from scratchgpt.tokenizers import BPETokenizer

Encode = Callable[[str], list[int]]


def train(text: str, vocab_size: int) -> int:
    """Train a byte-level BPE with Hugging Face tokenizers and return the size of its vocabulary."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer.get_vocab_size()


def hugging_face(ours: BPETokenizer) -> Encode:
    """Return the encoding function of our tokenizer's copy in Hugging Face tokenizers."""
    theirs = tokenizers.Tokenizer.from_buffer(ours.to_bytes())
    return lambda text: theirs.encode(text).ids


def tiktoken_of(ours: BPETokenizer) -> Encode:
    """Return the encoding function of our tokenizer's copy in tiktoken."""
    theirs = tiktoken.Encoding(
        "ours", pat_str=ours.pattern, mergeable_ranks=ours.token_ids, special_tokens=ours.special_ids
    )
    return theirs.encode_ordinary
