"""Beam search: not the likeliest next token, again and again, but the likeliest texts.

The likeliest text need not begin with the likeliest token. Among V^n texts of n tokens nobody can look at
all, so the search follows a few at once, the beams: each step continues every beam by every token and goes
on with the best of these.

Sources: Sutskever, Vinyals, Le, "Sequence to Sequence Learning with Neural Networks" (2014), section 3.2,
https://arxiv.org/abs/1409.3215 (the search); Wu et al., "Google's Neural Machine Translation System" (2016),
section 7, https://arxiv.org/abs/1609.08144 (division by length^α); Vijayakumar et al., "Diverse Beam Search"
(2016), algorithm 1, https://arxiv.org/abs/1610.02424 (groups). Where these leave a choice (which ends count,
when to stop) it is that of transformers 5, `generate(num_beams=...)`.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, NamedTuple

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.errors import InputError
from scratchgpt.generation.decoder import Decoder
from scratchgpt.generation.sampling import check_prompts
from scratchgpt.nn.model import GPT
from scratchgpt.nn.params import ParamVector
from scratchgpt.ops.sampling import NOT_FINITE
from scratchgpt.shapes import Array

Process = Callable[[Array, Sequence[int]], Array]
LARGEST_LENGTH_PENALTY = 10.0  # far beyond any use, and length^10 is still a number


class Hypothesis(NamedTuple):
    """A text that the search has found.

    Attributes:
        tokens: the new tokens; the last is one of `eos_ids` if the text has ended.
        score: the sum of their log-probabilities divided by len(tokens)^length_penalty; both count the end.
    """

    tokens: tuple[int, ...]
    score: float


class Beam(NamedTuple):
    """A text that the search follows: all but its last token is text `row` of the decoder."""

    row: int
    tokens: tuple[int, ...]
    log_prob: float


@dataclass
class Group:
    """Beams that compete with each other; the texts that ended, best first, as many as beams at most."""

    running: list[Beam]
    finished: list[Hypothesis] = field(default_factory=list)


def beam_search(
    model: GPT,
    params: ParamVector,
    prompt_ids: Sequence[int],
    *,
    backend: Backend,
    beams: int,
    max_new_tokens: int,
    length_penalty: float = 1.0,
    early_stopping: bool | Literal["never"] = False,
    beam_groups: int = 1,
    diversity_penalty: float = 0.0,
    eos_ids: Collection[int] = (),
    process: Process | None = None,
    vocab_size: int | None = None,
) -> list[Hypothesis]:
    """Return the best continuations of a prompt that beam search finds, best first, `beams` at most.

    One beam is greedy search. With groups, group g looks for its best continuations by
    `log-probability - diversity_penalty * n`, where n says how often the groups before it took the same token
    in the same step, to go on or to end (Hamming diversity). The penalty decides what is taken; it is no part
    of a score. Groups know nothing else of each other, so two of them can still find one text.

    Args:
        model: the structure.
        params: its weights.
        prompt_ids: 1 to block_size token ids. A text that outgrows the block is scored by its last
            block_size tokens.
        backend: where the model computes; the search itself is in float64 on the host.
        beams: how many texts to follow, of all groups together.
        max_new_tokens: where texts end that have not ended before.
        length_penalty: the power of the length that divides a log-probability. Since these are negative,
            more than 0 favours longer texts, less than 0 shorter ones; 0 compares plain probabilities.
        early_stopping: when a group stops that has as many finished texts as beams. True: at once. False:
            when its likeliest beam, divided by its present length, is no better than its worst finished text,
            although it might become so. "never": when it no longer can.
        beam_groups: how many groups the beams are dealt to.
        diversity_penalty: the log-probability that a token loses for each time it has been taken.
        eos_ids: tokens that end a text. Such an end counts if it is among the best continuations of a step,
            as many as there are beams in the group.
        process: turns the log-probabilities (V,) of the next token and the ids so far, prompt included, into
            those to search by; -inf forbids a token. They are not normalised again.
        vocab_size: only ids below it are generated (a tokenizer may have fewer than the model).

    Returns:
        Hypotheses, fewer than `beams` only where so many texts do not exist.

    Raises:
        InputError: a prompt or a setting out of range, scores that are not finite, or no text that `process`
            allows.
    """
    check_prompts([prompt_ids], model)
    _check_settings(beams, max_new_tokens, length_penalty, early_stopping, beam_groups, diversity_penalty)
    if max_new_tokens == 0:
        return [Hypothesis((), 0.0)]
    size, ends = beams // beam_groups, frozenset(eos_ids)
    favours_long = early_stopping == "never" and length_penalty > 0.0

    def has_ended(beam: Beam) -> bool:
        return beam.tokens[-1] in ends or len(beam.tokens) == max_new_tokens

    decoder = Decoder(model, params, [prompt_ids], backend=backend)
    groups = [Group([Beam(row=0, tokens=(), log_prob=0.0)]) for _ in range(beam_groups)]
    for length in range(1, max_new_tokens + 1):
        log_probs = _next_log_probs(decoder, backend, process, vocab_size)
        taken = np.zeros(log_probs.shape[1])  # how often the groups took each token, in this step
        for group in groups:
            # A beam has one continuation for each end; so among this many, enough go on.
            n = size * (1 + len(ends))
            best = _best_continuations(group.running, log_probs, diversity_penalty * taken, n)
            ended = [beam for beam in best[:size] if has_ended(beam)]
            group.running = [beam for beam in best if not has_ended(beam)][:size]
            for beam in ended + group.running:
                taken[beam.tokens[-1]] += 1.0

            finished = [Hypothesis(beam.tokens, beam.log_prob / length**length_penalty) for beam in ended]
            group.finished = _best_first(group.finished + finished)[:size]
            if group.running and len(group.finished) == size:
                reach = max_new_tokens if favours_long else length
                hope = max(beam.log_prob for beam in group.running) / reach**length_penalty
                if early_stopping is True or hope <= group.finished[-1].score:
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
        raise InputError(f"new token {length} can be none, all are forbidden; expected one that is allowed")
    return found


def _next_log_probs(
    decoder: Decoder, backend: Backend, process: Process | None, vocab_size: int | None
) -> Array:
    """Return the log-probabilities (rows, V) of the next token of every text."""
    logits = np.stack([backend.to_host(row)[:vocab_size].astype(np.float64) for row in decoder.logits])
    if not np.isfinite(logits).all():
        raise InputError(NOT_FINITE)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probs: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    if process is None:
        return log_probs
    return np.stack([process(row, text) for row, text in zip(log_probs, decoder.texts, strict=True)])


def _best_continuations(running: Sequence[Beam], log_probs: Array, penalty: Array, n: int) -> list[Beam]:
    """Return the n best of all beams, each continued by every token: best first, of equals the earlier."""
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


def _check_settings(
    beams: int,
    max_new_tokens: int,
    length_penalty: float,
    early_stopping: bool | str,
    beam_groups: int,
    diversity_penalty: float,
) -> None:
    if beams < 1:
        raise InputError(f"beams is {beams}; expected at least 1")
    if max_new_tokens < 0:
        raise InputError(f"max_new_tokens is {max_new_tokens}; expected at least 0")
    if not abs(length_penalty) <= LARGEST_LENGTH_PENALTY:
        largest = LARGEST_LENGTH_PENALTY
        raise InputError(
            f"length_penalty is {length_penalty}; expected a number from {-largest} to {largest}"
        )
    if early_stopping not in (True, False, "never"):
        raise InputError(f"early_stopping is {early_stopping!r}; expected True, False or 'never'")
    if beam_groups < 1 or beams % beam_groups:
        raise InputError(f"beam_groups is {beam_groups}; expected a divisor of beams = {beams}")
    if not 0.0 <= diversity_penalty < math.inf:
        raise InputError(f"diversity_penalty is {diversity_penalty}; expected a number of at least 0")
    if beam_groups > 1 and diversity_penalty == 0.0:
        raise InputError(
            f"diversity_penalty is 0 with beam_groups = {beam_groups}; expected more than 0, "
            "or all groups would find the same texts"
        )
