"""The loop of a chat: read a line, answer it, and let Ctrl-C stop the answer but not the chat."""

import contextlib
import importlib
import signal
import sys

from scratchgpt.cli.chat.commands import obey
from scratchgpt.cli.chat.session import Session
from scratchgpt.errors import InputError
from scratchgpt.utils.signals import signals_request_stop
from scratchgpt.utils.terminal import printable

FORGETTING = "(the block is full: the model no longer reads the oldest turns)"
STOPPED = "(stopped: what you said and this reply do not count as said)"
LEAVING = "(/quit or Ctrl-D leaves)"


def talk(session: Session) -> int:
    """Talk until the user leaves or the input ends; return the exit code.

    On a terminal there are prompts, and Ctrl-C stops a reply. Over a pipe, standard output has one reply for
    each line that is neither blank nor a command, an empty one if the model cannot read the line, and Ctrl-C
    ends the program. Everything else goes to standard error.

    Raises:
        KeyboardInterrupt: Ctrl-C over a pipe.
    """
    on_terminal = sys.stdin.isatty()
    if on_terminal:
        with contextlib.suppress(ImportError):  # Windows has its own
            importlib.import_module("readline")  # gives input() a history, and keys that move
    while not session.is_over:
        try:
            line = input("User: " if on_terminal else "").strip()
            code = _answer(line, session, on_terminal)
        except EOFError:
            if on_terminal:
                print()
            return 0
        except KeyboardInterrupt:
            if not on_terminal:
                raise
            print(f"\n{LEAVING}", file=sys.stderr)
            continue
        if code:
            return code
    return 0


def _answer(line: str, session: Session, on_terminal: bool) -> int:
    """Answer a line; return the exit code of a signal that ends the program, or 0."""
    try:
        if line.startswith("/"):
            if told := obey(line, session):
                print(printable(told), file=sys.stderr)
        elif line:
            return _say(line, session, on_terminal)
    except InputError as error:
        print(f"({error})", file=sys.stderr)
        if not on_terminal and not line.startswith("/"):
            print(flush=True)
    return 0


def _say(said: str, session: Session, on_terminal: bool) -> int:
    """Print what the model answers, and keep both turns, unless the answer was stopped: then neither."""
    forgotten_before = session.conversation.n_forgotten
    pieces = session.reply(said)
    if session.conversation.n_forgotten and not forgotten_before:
        print(FORGETTING, file=sys.stderr)
    shown = printable if sys.stdout.isatty() else str
    print("Bot: " if on_terminal else "", end="", flush=True)
    reply = ""
    with signals_request_stop() as stop:
        try:
            for piece in pieces:
                print(shown(piece), end="", flush=True)
                reply += piece
                if stop.is_set():
                    break
        except KeyboardInterrupt:  # the second, while the model is still busy with the next token
            pass
    print(flush=True)
    if stop.signum is None:
        session.conversation.add(said, reply.strip())
        return 0
    if stop.signum == signal.SIGTERM:
        return stop.exit_code
    if not on_terminal:
        raise KeyboardInterrupt
    print(STOPPED, file=sys.stderr)
    return 0
