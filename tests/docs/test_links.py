"""Links and paths in the pages lead to something that exists."""

import re

import pytest

from tests.docs.markdown import inline_code, links, page_folder, read
from tests.docs.test_commands import PAGES
from tests.support.project import ROOT

FOLDERS = ("scratchgpt", "tests", "docs", "lessons", "benchmarks", "configs", "data", "notebooks", ".ci")
MADE = ("lessons/output", "benchmarks/results/gpu.json")  # by programs, and not in the repository
PATH = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*")
EVERYWHERE = [*PAGES, "ARCHITECTURE.md", "CHANGELOG.md", "data/README.md", "tests/gpu_emulation/README.md"]


@pytest.mark.parametrize("page", EVERYWHERE)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in links(read(page)):
        assert (page_folder(page) / target.partition("#")[0]).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", EVERYWHERE)
def test_every_path_in_a_sentence_exists(page: str) -> None:
    for where, code in inline_code(page, read(page)):
        if PATH.fullmatch(code) and not code.startswith(MADE):
            assert (ROOT / code).exists(), f"{where}: {code}"
