"""The files that the pages take for granted: a text of your own, runs that you have trained, and so on."""

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from scratchgpt.__main__ import main
from tests.support.project import ROOT

SHORT = ("--training.max_steps", "2", "--training.eval_tokens", "64", "--generation.max_new_tokens", "8")
TEXT = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
LETTERS = "".join(sorted(set(TEXT)))  # so that a model of the characters of my.txt can read other.txt
NAMES = "emma\nolivia\nava\nmia\nnoah\nliam\nlucas\nmason\n"
DIALOGUES = [["Hi.", "Hello."], ["How are you?", "Fine, thanks.", "Good.", "Yes."]]


class Files:
    """Makes each file once, and copies it to wherever a page asks for it.

    Args:
        folder: where the originals are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._makers: dict[str, Callable[[Path], object]] = {
            "my.txt": lambda path: path.write_text(LETTERS + TEXT[:20_000], encoding="utf-8"),
            "other.txt": lambda path: path.write_text(TEXT[20_000:40_000], encoding="utf-8"),
            "new.txt": lambda path: path.write_text(TEXT[40_000:45_000], encoding="utf-8"),
            "names.txt": lambda path: path.write_text(NAMES * 20, encoding="utf-8"),
            "prompts.txt": lambda path: path.write_text("The fox\nThe crow\n", encoding="utf-8"),
            "corpus.gz": lambda path: path.write_bytes(gzip.compress(TEXT[:20_000].encode())),
            "talk.jsonl": self._talk,
            "texts": self._texts,
            "gpt2-files": self._tokenizer,
            "runs/fables": lambda path: self._train(path, "--data", "fables"),
            "runs/mine": lambda path: self._train(path, "--data", str(self._made("my.txt"))),
            "runs/bpe": lambda path: self._train(
                path, "--data", "fables", "--tokenizer.kind", "bpe", "--tokenizer.vocab_size", "300"
            ),
            "runs/talk": lambda path: self._train(path, "--config", "configs/talk.yaml"),
        }

    def provide(self, text: str, folder: Path) -> None:
        """Copy every file that is named in the quotes of a Python program and is not there."""
        self._copy(re.findall(r"""["']([^"'\n]+)["']""", text), folder)

    def provide_for(self, words: list[str], folder: Path) -> None:
        """Copy every file that is named in a command, unless the command writes it; a reader has a run."""
        if words in (["python", "sample.py"], ["scratchgpt", "runs"]) and not (folder / "runs").exists():
            self._copy(["runs/mine"], folder)
        self._copy(
            [word for before, word in zip(["", *words[:-1]], words, strict=True) if before != "--out"], folder
        )

    def _copy(self, named: list[str], folder: Path) -> None:
        for name in named:
            known = name.removesuffix("/").partition("/*")[0]
            target = folder / known
            if known in self._makers and not target.exists():
                original = self._made(known)
                target.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if original.is_dir() else shutil.copy)(original, target)

    def _made(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._makers[name](path)
        return path

    @staticmethod
    def _train(path: Path, *options: str) -> None:
        assert main(["train", *options, *SHORT, "--out", str(path)]) == 0

    @staticmethod
    def _talk(path: Path) -> None:
        lines = [json.dumps({"dialog": turns}) for turns in DIALOGUES * 20]
        path.write_text("\n".join(lines), encoding="utf-8")

    @staticmethod
    def _texts(path: Path) -> None:
        (path / "more").mkdir(parents=True)
        (path / "a.txt").write_text(TEXT[:5_000], encoding="utf-8")
        (path / "more" / "b.md").write_text(TEXT[5_000:10_000], encoding="utf-8")

    def _tokenizer(self, path: Path) -> None:
        path.mkdir()
        out = ["--vocab-size", "300", "--out", str(path / "tokenizer.json")]
        assert main(["tokenizer", "train", str(self._made("my.txt")), *out]) == 0
