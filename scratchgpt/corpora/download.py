"""Downloads: files are fetched once, verified by SHA-256, and kept in the cache folder."""

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

TIMEOUT = 30  # seconds without a response


@dataclass(frozen=True)
class RemoteFile:
    """A public file and the checksum of its content.

    Attributes:
        name: its file name in the cache folder.
        sha256: the SHA-256 of its content, in hexadecimal.
        addresses: its URLs, in the order in which they are tried.
    """

    name: str
    sha256: str
    addresses: tuple[str, ...]


class _DownloadError(Exception):
    """A URL did not return the file; the message says why."""


def fetch(file: RemoteFile) -> Path:
    """Return the path of the file in the cache folder, after downloading it if it is not there.

    The SHA-256 is verified every time, so users may also put the file there by hand.

    Raises:
        InputError: every download failed (the message says how to continue by hand), the cached file has
            another checksum, or the folder is not writable.
    """
    path = cache_folder() / file.name
    if path.exists():
        found = _sha256(path)
        if found != file.sha256:
            raise InputError(
                f"{path} has SHA-256 {found}; expected {file.sha256}. Remove it to download it again, "
                f"or fetch it by hand from {file.addresses[0]}"
            )
        return path
    make_folder(path.parent)
    failures = []
    for address in file.addresses:
        try:
            _download(address, path, file.sha256)
            return path
        except _DownloadError as failure:
            failures.append(f"{address}: {failure}")
    raise InputError(
        f"cannot download {file.name} ({'; '.join(failures)}). "
        f"Fetch {file.addresses[0]} by hand and save it as {path}; its SHA-256 must be {file.sha256}"
    )


def _download(address: str, path: Path, sha256: str) -> None:
    """Download a URL to a path; raise `_DownloadError` if it fails or the checksum differs."""
    digest = hashlib.sha256()
    with atomic_path(path) as temporary:
        with temporary.open("wb") as out:
            for block in _received(address):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != sha256:
            raise _DownloadError(f"SHA-256 {digest.hexdigest()} instead of {sha256}")


def _received(address: str) -> Iterator[bytes]:
    """Yield the blocks of a response, with a progress bar on a terminal; errors become `_DownloadError`."""
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
    request = Request(address, headers={"User-Agent": "scratchgpt"})  # some servers reject Python's default
    n_received = 0
    try:
        with urlopen(request, timeout=TIMEOUT) as response, bar:
            length = response.headers.get("Content-Length")
            task = bar.add_task("", total=int(length) if length else None)
            while block := response.read(1 << 16):
                n_received += len(block)
                bar.update(task, completed=n_received)
                yield block
    except HTTPError as error:  # a response, but not the file
        error.close()
        raise _DownloadError(str(error)) from error
    except URLError as error:
        raise _DownloadError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _DownloadError(str(error) or type(error).__name__) from error
    if length and n_received != int(length):
        raise _DownloadError(f"the connection broke after {n_received:,} of {int(length):,} bytes")


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
