"""Tokenizing a corpus, with several worker processes for a large one."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

import numpy as np

from scratchgpt.corpora.corpus import Piece
from scratchgpt.errors import InputError
from scratchgpt.shapes import Array
from scratchgpt.tokenizers import Tokenizer, from_bytes

JOB_CHARACTERS = 2**18  # per job of a worker, whose memory grows with them


class Tokenized(NamedTuple):
    """The tokens of some pieces.

    Attributes:
        tokens: (N,) ids.
        ends: (D,) the position after the last token of each document that ends here.
        loss_mask: (N,) the loss mask: whether each token counts in the loss.
        n_characters: characters of their text, without the names of special tokens.
    """

    tokens: Array
    ends: Array
    loss_mask: Array
    n_characters: int


def tokenize(pieces: Iterable[Piece], tokenizer: Tokenizer) -> Tokenized:
    """Return the tokens of some pieces.

    Raises:
        InputError: the tokenizer cannot represent a character.
    """
    ids, ends, loss_mask = [np.empty(0, dtype=np.int32)], [], []
    n_characters = n_tokens = 0
    for piece in pieces:
        if piece.special:
            ids.append(np.array([tokenizer.special_ids[piece.text]], dtype=np.int32))
        else:
            ids.append(tokenizer.encode(piece.text))
            n_characters += len(piece.text)
        n_tokens += len(ids[-1])
        loss_mask.append(piece.in_loss)
        if piece.ends:
            ends.append(n_tokens)
    lengths = [len(each) for each in ids[1:]]
    return Tokenized(
        np.concatenate(ids),
        np.array(ends, dtype=np.int64),
        np.repeat(np.array(loss_mask, dtype=bool), lengths),
        n_characters,
    )


def tokenize_all(
    pieces: Iterable[Piece], tokenizer: Tokenizer, workers: int
) -> Generator[Tokenized, None, None]:
    """Yield the tokens of all pieces in order.

    With one worker, this process does the work. Otherwise worker processes are spawned rather than forked,
    because forking a process with threads is unsafe. Only a few jobs are in flight at any time, however long
    the text. Close or exhaust the iterator to end the processes.

    Raises:
        InputError: as `tokenize`, or a worker process died.
    """
    if workers == 1:
        for job in jobs(pieces):
            yield tokenize(job, tokenizer)
        return
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_init_worker,
        initargs=(tokenizer.to_bytes(),),
    )
    in_flight: deque[Future[Tokenized]] = deque()
    try:
        for job in jobs(pieces):
            with _main_module_hidden(), _ctrl_c_blocked():  # submitting starts the processes
                in_flight.append(executor.submit(_work, job))
            if len(in_flight) > workers + 1:
                yield in_flight.popleft().result()
        while in_flight:
            yield in_flight.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker process that tokenizes the text died; check that there is memory for {workers} of them"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def jobs(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Group the pieces into lists of about JOB_CHARACTERS each."""
    job: list[Piece] = []
    size = 0
    for piece in pieces:
        job.append(piece)
        size += len(piece.text)
        if size >= JOB_CHARACTERS:
            yield job
            job, size = [], 0
    if job:
        yield job


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Hide `__main__` from spawned processes, which would otherwise import it with everything it needs."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Block SIGINT, so that new processes start with it blocked and only their parent acts on Ctrl-C."""
    if sys.platform == "win32":  # has no signal masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_tokenizers: list[Tokenizer] = []  # in a worker process: its tokenizer


def _init_worker(tokenizer: bytes) -> None:
    """Set up a worker: it ignores Ctrl-C, which its parent handles, and exits if its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _tokenizers.append(from_bytes(tokenizer, "the tokenizer"))


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(pieces: list[Piece]) -> Tokenized:
    return tokenize(pieces, _tokenizers[0])
