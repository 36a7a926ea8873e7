"""Beam search: look for the most likely sequences, not for the most likely token at each step.

The most likely sequence need not begin with the most likely token. There are V^n sequences of n tokens, too
many to try, so the search follows only a few at a time, the beams: each step extends every beam by every
token and keeps the best of these extensions.

Sources: Sutskever, Vinyals, Le, "Sequence to Sequence Learning with Neural Networks" (2014), section 3.2,
https://arxiv.org/abs/1409.3215 (the search); Wu et al., "Google's Neural Machine Translation System" (2016),
section 7, https://arxiv.org/abs/1609.08144 (division by length^α); Vijayakumar et al., "Diverse Beam Search"
(2016), algorithm 1, https://arxiv.org/abs/1610.02424 (groups). Where these leave a choice (which ends count,
when to stop), it is that of transformers 5, `generate(num_beams=...)`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.loop import check_prompts
from scratchgpt.generation.settings import GenerationSettings
from scratchgpt.nn.bound_model import BoundModel
from scratchgpt.ops.sampling import NOT_FINITE
from scratchgpt.shapes import Array

Process = Callable[[Array, Sequence[int]], Array]


class Hypothesis(NamedTuple):
    """A sequence that the search has found.

    Attributes:
        tokens: the new tokens; the last is one of `eos_ids` if the sequence has ended.
        score: the sum of their log-probabilities divided by len(tokens)^length_penalty; both count the end.
    """

    tokens: tuple[int, ...]
    score: float


class Beam(NamedTuple):
    """A sequence that the search follows: all but its last token is sequence `row` of the decoder."""

    row: int
    tokens: tuple[int, ...]
    log_prob: float


@dataclass
class Group:
    """Beams that compete with each other, and their finished sequences, best first, at most one per beam."""

    running: list[Beam]
    finished: list[Hypothesis] = field(default_factory=list)


def beam_search(
    bound: BoundModel,
    prompt_ids: Sequence[int],
    settings: GenerationSettings,
    *,
    eos_ids: Collection[int] = (),
    process: Process | None = None,
    vocab_size: int | None = None,
) -> list[Hypothesis]:
    """Return the best continuations of a prompt that beam search finds, best first, at most one per beam.

    One beam is greedy search. With groups, group g ranks its continuations by
    `log-probability - diversity_penalty * n`, where n is how often the earlier groups took the same token in
    the same step (Hamming diversity). The penalty affects the ranking only; it is not part of a score. Groups
    know nothing else about each other, so two of them may still find the same sequence.

    Args:
        bound: the model, its weights and where to compute. The search itself runs in float64 on the host.
        prompt_ids: 1 to block_size token ids. One that outgrows the context window is scored by its
            last block_size tokens.
        settings: beams, groups, penalties, early_stopping and max_new_tokens.
        eos_ids: tokens that end a sequence. Such an end counts if it is among the best continuations of a
            step, as many as the group has beams.
        process: maps the log-probabilities (V,) of the next token and the ids so far, prompt included, to
            the log-probabilities to search by; -inf forbids a token. They are not normalized again.
        vocab_size: only ids below it are generated (a tokenizer may have fewer than the model).

    Returns:
        One hypothesis per beam; fewer only if that many sequences do not exist.

    Raises:
        InputError: if the prompt is empty or too long, scores are not finite, or `process` forbids every
            token.
    """
    check_prompts([prompt_ids], bound)
    max_new_tokens, length_penalty = settings.max_new_tokens, settings.length_penalty
    if max_new_tokens == 0:
        return [Hypothesis((), 0.0)]
    size, ends = settings.beams // settings.beam_groups, frozenset(eos_ids)
    favours_long = settings.early_stopping == "never" and length_penalty > 0.0

    def has_ended(beam: Beam) -> bool:
        return beam.tokens[-1] in ends or len(beam.tokens) == max_new_tokens

    decoder = Decoder(bound, [prompt_ids])
    groups = [Group([Beam(row=0, tokens=(), log_prob=0.0)]) for _ in range(settings.beam_groups)]
    for length in range(1, max_new_tokens + 1):
        log_probs = _next_log_probs(decoder, bound.backend, process, vocab_size)
        taken = np.zeros(log_probs.shape[1])  # how often the groups took each token in this step
        for group in groups:
            # A beam has one continuation per end token, so at least `size` of these many have not ended.
            n = size * (1 + len(ends))
            best = _best_continuations(group.running, log_probs, settings.diversity_penalty * taken, n)
            ended = [beam for beam in best[:size] if has_ended(beam)]
            group.running = [beam for beam in best if not has_ended(beam)][:size]
            for beam in ended + group.running:
                taken[beam.tokens[-1]] += 1.0

            finished = [Hypothesis(beam.tokens, beam.log_prob / length**length_penalty) for beam in ended]
            group.finished = _best_first(group.finished + finished)[:size]
            if group.running and len(group.finished) == size:
                final_length = max_new_tokens if favours_long else length
                hope = max(beam.log_prob for beam in group.running) / final_length**length_penalty
                if settings.early_stopping is True or hope <= group.finished[-1].score:
                    group.running = []

        running = [beam for group in groups for beam in group.running]
        if not running:
            break
        decoder.keep([beam.row for beam in running])
        decoder.step([beam.tokens[-1] for beam in running])
        rows = count()
        for group in groups:
            group.running = [beam._replace(row=next(rows)) for beam in group.running]

    found = _best_first([hypothesis for group in groups for hypothesis in group.finished])
    if not found:
        raise InputError(f"no token is allowed at step {length}: the settings forbid all of them")
    return found


def _next_log_probs(
    decoder: Decoder, backend: Backend, process: Process | None, vocab_size: int | None
) -> Array:
    """Return the log-probabilities (rows, V) of the next token of every sequence."""
    logits = np.stack([backend.to_host(row)[:vocab_size].astype(np.float64) for row in decoder.logits])
    if not np.isfinite(logits).all():
        raise InputError(NOT_FINITE)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probs: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    if process is None:
        return log_probs
    return np.stack([process(row, text) for row, text in zip(log_probs, decoder.texts, strict=True)])


def _best_continuations(running: Sequence[Beam], log_probs: Array, penalty: Array, n: int) -> list[Beam]:
    """Return the n best extensions of all beams by one token, best first; ties keep their order."""
    if not running:
        return []
    scores = np.array([[beam.log_prob] for beam in running]) + log_probs[[beam.row for beam in running]]
    ranks = (scores - penalty).reshape(-1)
    n = min(n, ranks.size)
    threshold = np.partition(ranks, -n)[-n]
    places = np.flatnonzero((ranks >= threshold) & (ranks > -np.inf))
    places = places[np.argsort(-ranks[places], kind="stable")][:n]
    continuations = []
    for i, token in zip(*np.divmod(places, scores.shape[1]), strict=True):
        beam = running[i]
        continuations.append(Beam(beam.row, (*beam.tokens, int(token)), float(scores[i, token])))
    return continuations


def _best_first(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.score, reverse=True)
