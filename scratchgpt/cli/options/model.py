"""The options that choose a model: which checkpoint of a run, and the backend that computes."""

from pathlib import Path
from typing import Literal, Protocol

from scratchgpt.backends import BACKENDS, Backend, get_backend
from scratchgpt.cli.parser import Parser
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.loading import load
from scratchgpt.utils.words import any_of


class BackendOptions(Protocol):
    """The values of the options that `add_backend_arguments` adds."""

    @property
    def backend(self) -> str:
        """The backend's name."""

    @property
    def threads(self) -> int | None:
        """Number of CPU threads; None means one per core."""

    @property
    def precision(self) -> str:
        """Of the arithmetic on a GPU."""

    @property
    def device(self) -> int | None:
        """Index of the GPU; None means the first."""


def add_checkpoint_argument(parser: Parser) -> None:
    """Add the option that chooses a checkpoint of a run."""
    parser.add_argument(
        "--checkpoint", type=Literal["best", "last"] | None, help="best or last; default: best if it exists"
    )


def add_backend_arguments(parser: Parser) -> None:
    """Add the options that choose a backend and its settings."""
    parser.add_argument("--backend", type=str, default="numpy", help=f"where to compute: {any_of(BACKENDS)}")
    parser.add_argument("--threads", type=int | None, help="number of CPU threads; default: one per core")
    parser.add_argument(
        "--precision", type=str, default="float32", help="float32; on a GPU also tf32, bf16 or float16"
    )
    parser.add_argument("--device", type=int | None, help="index of the GPU; default: the first")


def chosen_backend(options: BackendOptions) -> Backend:
    """Return the backend that the options choose.

    Raises:
        InputError: if the backend does not exist, is not available here, or lacks a setting.
    """
    return get_backend(options.backend, options.threads, precision=options.precision, device=options.device)


def load_model(run: str | Path, checkpoint: str | None, options: BackendOptions) -> LanguageModel:
    """Load a checkpoint of a run, or any other model that `sg.load` opens, on the backend of the options.

    Raises:
        InputError: if the run, the checkpoint or the backend cannot be used.
    """
    return load(run, checkpoint=checkpoint, backend=chosen_backend(options))
