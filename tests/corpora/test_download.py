"""Downloads, from a server in this process: verified, and kept complete or not at all."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from scratchgpt.corpora import builtin, download
from scratchgpt.corpora.download import RemoteFile, fetch
from scratchgpt.corpora.sources import open_corpus
from scratchgpt.errors import InputError
from scratchgpt.utils.cache_folder import cache_folder

CONTENT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 9000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(NamedTuple):
    """Serves CONTENT at /file, half of it at /half, something else at /other; records the requested paths."""

    address: str
    asked: list[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCRATCHGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Server]]:
    servers = []

    def start(content: bytes) -> Server:
        asked: list[str] = []
        bodies = {"/file": content, "/half": content[: len(content) // 2], "/other": b"<html>log in</html>"}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path not in bodies:
                    self.send_error(404)
                    return
                length = content if self.path == "/half" else bodies[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(length)))
                self.end_headers()
                self.wfile.write(bodies[self.path])

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return Server(f"http://127.0.0.1:{server.server_port}", asked)

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_is_downloaded_once(serve: Callable[[bytes], Server], cache: Path) -> None:
    server = serve(CONTENT)
    file = RemoteFile("text.txt", SHA256, (f"{server.address}/file",))
    assert fetch(file) == cache / "text.txt"
    assert fetch(file).read_bytes() == CONTENT
    assert server.asked == ["/file"]
    assert [path.name for path in cache.iterdir()] == ["text.txt"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/other", f"SHA-256 {hashlib.sha256(b'<html>log in</html>').hexdigest()} instead of {SHA256}"),
        ("/half", f"the connection broke after {len(CONTENT) // 2:,} of {len(CONTENT):,} bytes"),
        ("/missing", "HTTP Error 404"),
    ],
)
def test_a_failed_download_is_not_kept(
    serve: Callable[[bytes], Server], cache: Path, path: str, words: str
) -> None:
    address = serve(CONTENT).address + path
    with pytest.raises(InputError) as error:
        fetch(RemoteFile("text.txt", SHA256, (address,)))
    assert words in str(error.value)
    by_hand = f"Fetch {address} by hand and save it as {cache / 'text.txt'}; its SHA-256 must be {SHA256}"
    assert by_hand in str(error.value)
    assert list(cache.iterdir()) == []


def test_the_second_address_is_tried_when_the_first_fails(serve: Callable[[bytes], Server]) -> None:
    server = serve(CONTENT)
    no_server = "http://127.0.0.1:1/file"
    addresses = (no_server, f"{server.address}/other", f"{server.address}/half", f"{server.address}/file")
    assert fetch(RemoteFile("text.txt", SHA256, addresses)).read_bytes() == CONTENT
    assert server.asked == ["/other", "/half", "/file"]


def test_a_server_that_does_not_respond_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(download, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(InputError, match="timed out"):
            fetch(RemoteFile("text.txt", SHA256, (address,)))


def test_a_file_put_there_by_hand_is_used_without_the_network(cache: Path) -> None:
    cache.mkdir()
    (cache / "text.txt").write_bytes(CONTENT)
    assert fetch(RemoteFile("text.txt", SHA256, ("http://127.0.0.1:1/file",))).read_bytes() == CONTENT


def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(cache: Path) -> None:
    cache.mkdir()
    (cache / "text.txt").write_bytes(b"mine")
    with pytest.raises(InputError) as error:
        fetch(RemoteFile("text.txt", SHA256, ("http://127.0.0.1:1/file",)))
    assert hashlib.sha256(b"mine").hexdigest() in str(error.value)
    assert SHA256 in str(error.value)
    assert (cache / "text.txt").read_bytes() == b"mine"


def test_the_users_cache_folder_unless_another_is_chosen(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == cache
    monkeypatch.setenv("SCRATCHGPT_CACHE", "")
    assert cache_folder().name == "scratchgpt" or "scratchgpt" in cache_folder().parts


def test_shakespeare_is_one_text(serve: Callable[[bytes], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    file = RemoteFile("tinyshakespeare.txt", SHA256, (f"{serve(CONTENT).address}/file",))
    monkeypatch.setattr(builtin, "SHAKESPEARE", file)
    corpus = open_corpus("shakespeare")
    assert "".join(piece.text for piece in corpus.pieces()) == CONTENT.decode()
    assert (corpus.name, corpus.specials) == ("shakespeare", ())


def test_the_shared_copy_of_shakespeare_is_the_one_expected(shared: Path, cache: Path) -> None:
    cache.mkdir()
    content = (shared / "data" / "tinyshakespeare.txt").read_bytes()
    (cache / builtin.SHAKESPEARE.name).write_bytes(content)
    assert len(content) == 1_115_394
    assert "".join(piece.text for piece in open_corpus("shakespeare").pieces()) == content.decode()


def test_every_article_of_wikitext_is_a_document(
    serve: Callable[[bytes], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        " \n = Valkyria Chronicles = \n \n It is a game . \n \n = = Gameplay = = \n \n One = two = . \n \n"
        " = = = Story = = = \n \n x \n = 1 = \n \n = Tower Building = \n \n A tower . \n"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("wikitext-2-raw/wiki.train.raw", text)
        archive.writestr("wikitext-2-raw/wiki.test.raw", "other")
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    address = f"{serve(packed.getvalue()).address}/file"
    monkeypatch.setattr(builtin, "WIKITEXT_2", RemoteFile("wikitext.zip", sha256, (address,)))
    corpus = open_corpus("wikitext-2")
    pieces = list(corpus.pieces())
    assert [piece.text for piece in pieces if piece.ends] == ["<|endoftext|>"] * 2
    documents = [piece.text for piece in pieces if not piece.special]
    assert documents[1] == " = Tower Building = \n \n A tower . \n"
    assert "".join(documents) == text
