"""Text becomes tokens, on several cores where that pays."""

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

JOB = 2**18  # characters that a process is given at once: its memory grows with them


class Tokenised(NamedTuple):
    """Some pieces as tokens.

    Attributes:
        tokens: (N,) ids.
        ends: (D,) the position after the last token of each document that ends here.
        learned: (N,) whether a token counts in the loss.
        n_characters: of their text, names of special tokens not counted.
    """

    tokens: Array
    ends: Array
    learned: Array
    n_characters: int


def tokenise(pieces: Iterable[Piece], tokenizer: Tokenizer) -> Tokenised:
    """Return the tokens of some pieces.

    Raises:
        InputError: a character that the tokenizer cannot represent.
    """
    ids, ends, learned = [np.empty(0, dtype=np.int32)], [], []
    n_characters = n_tokens = 0
    for piece in pieces:
        if piece.special:
            ids.append(np.array([tokenizer.special_ids[piece.text]], dtype=np.int32))
        else:
            ids.append(tokenizer.encode(piece.text))
            n_characters += len(piece.text)
        n_tokens += len(ids[-1])
        learned.append(piece.learned)
        if piece.ends:
            ends.append(n_tokens)
    lengths = [len(each) for each in ids[1:]]
    return Tokenised(
        np.concatenate(ids),
        np.array(ends, dtype=np.int64),
        np.repeat(np.array(learned, dtype=bool), lengths),
        n_characters,
    )


def tokenise_all(
    pieces: Iterable[Piece], tokenizer: Tokenizer, workers: int
) -> Generator[Tokenised, None, None]:
    """Yield the tokens of all pieces in their order.

    With one worker, this process does it. Others are started afresh, not forked, so it matters not which
    threads there are. Only a few jobs are underway at any time, however long the text. Close the iterator,
    or exhaust it, to end the processes.

    Raises:
        InputError: as `tokenise`, or a process died.
    """
    if workers == 1:
        for job in jobs(pieces):
            yield tokenise(job, tokenizer)
        return
    executor = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(tokenizer.to_bytes(),),
    )
    underway: deque[Future[Tokenised]] = deque()
    try:
        for job in jobs(pieces):
            with _main_program_hidden(), _ctrl_c_held_back():  # processes start here
                underway.append(executor.submit(_work, job))
            if len(underway) > workers + 1:
                yield underway.popleft().result()
        while underway:
            yield underway.popleft().result()
    except BrokenProcessPool as error:
        raise InputError(
            f"a process that cuts text into tokens ended early; expected enough memory for {workers} of them"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def jobs(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces in lists of about JOB characters."""
    job: list[Piece] = []
    size = 0
    for piece in pieces:
        job.append(piece)
        size += len(piece.text)
        if size >= JOB:
            yield job
            job, size = [], 0
    if job:
        yield job


@contextmanager
def _main_program_hidden() -> Iterator[None]:
    """Let new processes find no main program, which they would import again with everything that it needs."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Let new processes begin deaf to Ctrl-C, which their parent gets afterwards; not so on Windows."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_tokenizers: list[Tokenizer] = []  # in a worker: the one that it was given


def _begin_worker(tokenizer: bytes) -> None:
    """Make a worker ready; on Ctrl-C its parent will end it, and when its parent is killed it ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _tokenizers.append(from_bytes(tokenizer, "the tokenizer"))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(pieces: list[Piece]) -> Tokenised:
    return tokenise(pieces, _tokenizers[0])
