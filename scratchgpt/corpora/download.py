"""Files from the network: downloaded once, checked, kept in the cache folder."""

import hashlib
import http.client
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from scratchgpt.errors import InputError
from scratchgpt.utils.cache_folder import cache_folder
from scratchgpt.utils.files import atomic_path, make_folder

TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class RemoteFile:
    """A file that anyone can download, and its one right content.

    Attributes:
        name: what it is called in the cache folder.
        sha256: the SHA-256 of its content, in hexadecimal.
        addresses: where it is, tried in this order.
    """

    name: str
    sha256: str
    addresses: tuple[str, ...]


class _Failed(Exception):
    """An address did not give the file; the message says why."""


def fetch(file: RemoteFile) -> Path:
    """Return where the file is in the cache folder; it is downloaded if it is not there.

    Its SHA-256 is compared each time, so the file may as well be put there by hand.

    Raises:
        InputError: no address gives it (the message says how to go on by hand), the file in the cache
            folder is another one, or the folder cannot be written to.
    """
    path = cache_folder() / file.name
    if path.exists():
        found = _sha256(path)
        if found != file.sha256:
            raise InputError(
                f"{path} has SHA-256 {found}; expected {file.sha256}. Remove it to download it anew, "
                f"or fetch it from {file.addresses[0]}"
            )
        return path
    make_folder(path.parent)
    failures = []
    for address in file.addresses:
        try:
            _download(address, path, file.sha256)
            return path
        except _Failed as failure:
            failures.append(f"{address}: {failure}")
    raise InputError(
        f"cannot download {file.name} ({'; '.join(failures)}). "
        f"Fetch {file.addresses[0]} by hand and put it at {path}; expected SHA-256 {file.sha256}"
    )


def _download(address: str, path: Path, sha256: str) -> None:
    """Write what is at the address to the path if it is what it should be, else raise `_Failed`."""
    digest = hashlib.sha256()
    with atomic_path(path) as temporary:
        with temporary.open("wb") as out:
            for block in _received(address):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != sha256:
            raise _Failed(f"SHA-256 {digest.hexdigest()} instead of {sha256}")


def _received(address: str) -> Iterator[bytes]:
    """Yield what an address sends, with a bar on a terminal; whatever goes wrong is `_Failed`."""
    console = Console(file=sys.stderr)
    console.print(f"downloading {address}", soft_wrap=True, highlight=False, markup=False)
    bar = Progress(
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    request = Request(address, headers={"User-Agent": "scratchgpt"})  # some servers refuse Python's own
    n_received = 0
    try:
        with urlopen(request, timeout=TIMEOUT) as response, bar:
            length = response.headers.get("Content-Length")
            task = bar.add_task("", total=int(length) if length else None)
            while block := response.read(1 << 16):
                n_received += len(block)
                bar.update(task, completed=n_received)
                yield block
    except HTTPError as error:  # an answer, but not the file
        error.close()
        raise _Failed(str(error)) from error
    except URLError as error:
        raise _Failed(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(str(error) or type(error).__name__) from error
    if length and n_received != int(length):
        raise _Failed(f"the connection broke after {n_received:,} of {int(length):,} bytes")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
