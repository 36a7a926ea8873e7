"""Every command and every Python program on the pages works as written."""

import shutil
from pathlib import Path

import pytest

from lessons.kit.files import lesson_path
from scratchgpt.corpora import builtin
from tests.docs import check, markdown
from tests.docs.files import Files
from tests.docs.markdown import Block, blocks, inline_code, read
from tests.docs.reader import Reader
from tests.docs.shell import commands
from tests.support.project import ROOT

GENERATED = (
    "docs/benchmarks.md",
    "docs/gpu.md",
    "docs/results.md",
)  # pages that programs write, without marks
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
    "lessons/README.md",
    "notebooks/README.md",
]
SLOW = ("README.md", "docs/training.md", "docs/text.md", "docs/generation.md", "lessons/README.md")
RUN = [
    pytest.param(page, marks=pytest.mark.slow if page in SLOW else ())
    for page in PAGES
    if page not in GENERATED and "```" in read(page)
]
EXTRAS = [  # the blocks that need an extra
    pytest.param(block, id=block.where, marks=pytest.mark.peers)
    for page in PAGES
    for block in blocks(page, read(page))
    if block.reason and block.reason.startswith(markdown.EXTRA)
]
SOLVED = (4, 5, 8)
OURS = ("python ", "scratchgpt ", "pip install ", "make ", "bash ")  # how a command in a sentence begins


@pytest.fixture(autouse=True)
def small_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the texts that are made by programs."""
    monkeypatch.setattr(builtin, "GRAMMAR_DOCUMENTS", 300)
    monkeypatch.setattr(builtin, "TALK_DIALOGUES", 300)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the exercises that the pages name are solved."""
    folder = tmp_path_factory.mktemp("clone")
    unneeded = shutil.ignore_patterns("__pycache__", "output", "*_hunt.py", "*.bak")
    for name in ("scratchgpt", "lessons", "configs", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=unneeded)
    for name in ("train.py", "sample.py"):
        shutil.copy(ROOT / name, folder / name)
    for number in SOLVED:
        name = lesson_path(number).name
        shutil.copy(ROOT / "lessons" / "answers" / name, folder / "lessons" / "exercises" / name)
    return folder


@pytest.mark.parametrize("page", RUN)
def test_every_block_of_a_page_works(page: str, files: Files, clone: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path, files, clone)
    for block in blocks(page, read(page)):
        if block.reason is None:
            reader.read(block)
        else:
            check.check_marked(block)


@pytest.mark.parametrize("block", EXTRAS)
def test_a_block_that_needs_an_extra_works(block: Block, files: Files, clone: Path, tmp_path: Path) -> None:
    pytest.importorskip(check.library_of(str(block.reason)))
    Reader(tmp_path, files, clone).read(block)


@pytest.mark.parametrize("page", GENERATED)
def test_the_commands_of_a_generated_page_exist(page: str) -> None:
    for block in blocks(page, read(page)):
        for where, line in block.lines:
            for command in commands(where, line):
                check.check(command)


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md"])  # CHANGELOG.md names commands that are gone
def test_commands_in_sentences_exist(page: str) -> None:
    for where, code in inline_code(page, read(page)):
        if code.startswith(OURS) and "..." not in code and not any(word.isupper() for word in code.split()):
            for command in commands(where, code):
                check.check(command)


# --------------------------------------------------------------------------------- a mistake must not pass


def block_of(text: str) -> Block:
    (block,) = blocks("planted.md", text)
    return block


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("python train.py --data fables --training.max_stepz 3", "max_stepz"),
        ("python train.py --data fables     your own text", "a remark without #"),
        ("scratchgpt smaple runs/mine", "no command 'smaple'"),
        ("python sample.py runs/mine --top-q 3", "top-q"),
        ("python sample.py runs/never-trained", "never-trained"),
        ("pyhton train.py", "pyhton is not a program"),
        ("ls texts/*.txt", "unquoted *"),
        ("cat my.txt | python train.py --data - --trainig.max_steps 3", "trainig"),
    ],
)
def test_a_broken_command_is_found(
    line: str, message: str, files: Files, clone: Path, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=message.replace("*", r"\*")) as error:
        Reader(tmp_path, files, clone).read(block_of(f"# Title\n\n```sh\n{line}\n```\n"))
    assert "planted.md:4" in str(error.value) or "pyhton" in line


def test_a_broken_python_block_is_found(files: Files, clone: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path, files, clone)
    reader.read(block_of("```python\nx = 1\n```\n"))
    reader.read(block_of("```python\nassert x == 1\n```\n"))  # the blocks of a page are one program
    with pytest.raises(NameError):
        reader.read(block_of("```python\nprint(y)\n```\n"))


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("needs a GPU", "python train.py --data fables"),
        ("needs a download", "python train.py --data fables"),
        ("needs PyTorch", "scratchgpt runs"),
        ("takes long", "python train.py"),
        ("changes the machine", "scratchgpt runs"),
        ("needs the extra gguf", "scratchgpt export hf runs/mine mine-hf"),
        ("needs a GPU", "python train.py --backend cupy --training.max_stepz 3"),
        ("needs a GPU", "python train.py --backend cupy --precision fp8"),
        ("needs a download", "scratchgpt smaple gpt2"),
        ("needs a download", "scratchgpt export hf gpt2 out --dtypo float16"),
        ("takes long", "python -m benchmarks.no_such_benchmark"),
        ("takes long", "python -m benchmarks.memorise --seedz 3"),
        ("takes long", "python -m pytest tests/no_such_test.py"),
        ("changes the machine", "pip install -e '.[tset]'"),
    ],
)
def test_a_mark_does_not_hide_a_broken_command(reason: str, line: str) -> None:
    with pytest.raises(AssertionError):
        check.check_marked(block_of(f"<!-- not run: {reason} -->\n\n```sh\n{line}\n```\n"))


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("needs a GPU", "python train.py --backend cupy --precision bf16"),
        ("needs a download", "python train.py --config configs/nanogpt-cpu.yaml"),
        ("takes long", "python -m benchmarks.memorise --seeds 3"),
        ("changes the machine", "pip install -e '.[test,dev]'"),
    ],
)
def test_a_true_mark_passes(reason: str, line: str) -> None:
    check.check_marked(block_of(f"<!-- not run: {reason} -->\n\n```sh\n{line}  # a remark\n```\n"))


@pytest.mark.parametrize("comment", ["not run: no time", "not run: needs a gpu", "TODO"])
def test_an_unknown_mark_is_refused(comment: str) -> None:
    with pytest.raises(AssertionError, match="unknown reason"):
        block_of(f"<!-- {comment} -->\n```sh\nscratchgpt runs\n```\n")


def test_a_block_in_an_unknown_language_is_refused() -> None:
    with pytest.raises(AssertionError, match="unknown language"):
        block_of("```shell\nscratchgpt runs\n```\n")


def test_blocks_and_inline_code_have_their_line_numbers() -> None:
    page = "`python a.py`\n\n```sh\nx \\\n  y\nz\n```\n\n"
    page += "<!-- not run: takes long -->\n\n```python\n1\n```\nand `b`\n"
    first, second = blocks("page.md", page)
    assert first.lines == [("page.md:5", "x y"), ("page.md:6", "z")]
    assert (second.language, second.text, second.reason, second.line) == ("python", "1\n", "takes long", 12)
    assert inline_code("page.md", page) == [("page.md:1", "python a.py"), ("page.md:14", "b")]
    assert markdown.links("[a](b.md) [c](https://d.e) ![f](g.png)") == ["b.md", "g.png"]
