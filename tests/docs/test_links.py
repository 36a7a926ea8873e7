"""Links and paths in the pages lead to something that exists."""

import re

import pytest

from tests.docs.markdown import inline_code, links, page_folder, read
from tests.docs.test_commands import PAGES
from tests.support.project import ROOT

PACKAGE = ROOT / "scratchgpt"
ABSENT = ("lessons/output", "benchmarks/results/gpu.json", "runs/", "../shared")  # not in the repository
PATH = re.compile(r"[\w.-]+/[\w./-]*")
EVERYWHERE = [*PAGES, "ARCHITECTURE.md", "CHANGELOG.md", "data/README.md", "tests/gpu_emulation/README.md"]


@pytest.mark.parametrize("page", EVERYWHERE)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in links(read(page)):
        assert (page_folder(page) / target.partition("#")[0]).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", EVERYWHERE)
def test_every_path_in_a_sentence_exists(page: str) -> None:
    for where, code in inline_code(page, read(page)):
        first = code.partition("/")[0]
        is_ours = (ROOT / first).is_dir() or (PACKAGE / first).is_dir()
        if PATH.fullmatch(code) and is_ours and not code.startswith(ABSENT):
            places = (ROOT, PACKAGE, page_folder(page))
            assert any((place / code).exists() for place in places), f"{where}: {code}"


def test_paths_are_recognized() -> None:
    assert PATH.fullmatch("nn/layers/") and PATH.fullmatch("docs/log.md") and PATH.fullmatch(".ci/run")
    assert not PATH.fullmatch("B/T, C") and not PATH.fullmatch("python a/b.py")
