"""Compiles C++ with g++ into shared libraries, and caches them by the content of their sources."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def missing() -> str | None:
    """Return why kernels cannot be emulated on this machine, or None if they can."""
    if not sys.platform.startswith("linux"):
        return "the emulator needs Linux (ucontext, ELF sections)"
    if shutil.which("g++") is None:
        return "the emulator needs g++"
    return None


def with_includes(text: str, folders: Sequence[Path]) -> list[str]:
    """Return `text` and the texts of all files in `folders` that it includes, directly or indirectly."""
    texts, seen, waiting = [text], set[str](), _INCLUDE.findall(text)
    while waiting:
        name = waiting.pop()
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None or name in seen:
            continue  # the compiler will complain about a missing file
        seen.add(name)
        texts.append(path.read_text(encoding="utf-8"))
        waiting += _INCLUDE.findall(texts[-1])
    return texts


def hashed(parts: Iterable[str]) -> str:
    """Return a short hash of these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def cache_folder() -> Path:
    """Return the folder of compiled libraries: SCRATCHGPT_EMULATION_CACHE, or a private temporary folder."""
    chosen = os.environ.get("SCRATCHGPT_EMULATION_CACHE")
    folder = Path(chosen or Path(tempfile.gettempdir()) / f"scratchgpt-emulation-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def library(name: str, text: str, options: Iterable[str] = (), folders: Sequence[Path] = ()) -> Path:
    """Return the path of the shared library of the C++ source `text`, compiling it if necessary.

    Its name contains a hash of the options and of all source texts, so a changed header gives a new library.
    Where the sources are does not matter: all clones of the repository share the libraries.

    Raises:
        RuntimeError: the source does not compile; the message is g++'s.
    """
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden", "-w", *options]
    key = hashed([platform.machine(), *command, *with_includes(text, folders)])
    command += [f"-I{folder}" for folder in folders]
    result = cache_folder() / f"{name}-{key}.so"
    if result.exists():
        return result
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        source, compiled = Path(folder) / f"{name}.cpp", Path(folder) / "library.so"
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [*command, str(source), "-o", str(compiled)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"g++ cannot compile {name}:\n{done.stderr}")
        compiled.replace(result)  # atomic, because other processes may look for it now
    return result
