"""The chat loop: read a line, reply to it; Ctrl-C stops a reply but not the chat."""

import contextlib
import importlib
import signal
import sys

from scratchgpt.cli.chat.commands import run_command
from scratchgpt.cli.chat.session import Session
from scratchgpt.cli.options.generation import without_section
from scratchgpt.errors import InputError
from scratchgpt.utils.signals import signals_request_stop
from scratchgpt.utils.terminal import printable

FORGETTING = "(the context is full: the model no longer sees the oldest turns)"
STOPPED = "(stopped: this exchange was discarded)"
LEAVING = "(to leave, type /quit or press Ctrl-D)"


def talk(session: Session) -> int:
    """Chat until the user quits or the input ends; return the exit code.

    On a terminal there are prompts, and Ctrl-C stops a reply. With piped input, standard output has one reply
    per line that is neither blank nor a command, an empty one if the tokenizer cannot encode the line, and
    Ctrl-C ends the program. Everything else goes to standard error.

    Raises:
        KeyboardInterrupt: if the user presses Ctrl-C and the input is piped.
    """
    on_terminal = sys.stdin.isatty()
    if on_terminal:
        with contextlib.suppress(ImportError):  # not on Windows
            importlib.import_module("readline")  # gives input() history and cursor keys
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
    """Reply to a line or run its command; return the exit code of a terminating signal, or 0."""
    try:
        if line.startswith("/"):
            if told := run_command(line, session):
                print(printable(told), file=sys.stderr)
        elif line:
            return _say(line, session, on_terminal)
    except InputError as error:
        print(f"({without_section(str(error))})", file=sys.stderr)
        if not on_terminal and not line.startswith("/"):
            print(flush=True)
    return 0


def _say(said: str, session: Session, on_terminal: bool) -> int:
    """Print the model's reply, and keep both turns unless the reply was stopped."""
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
        except KeyboardInterrupt:  # pressed a second time, while the model computes the next token
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
