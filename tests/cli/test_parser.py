"""Errors of the parser come from its own options, whatever words jsonargparse uses."""

from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from scratchgpt.cli.argument_errors import hint_of, wrong_argument, wrong_setting
from scratchgpt.cli.options.train import _train_parser, parse_train_args
from scratchgpt.cli.parser import Parser
from scratchgpt.errors import InputError
from scratchgpt.generation import GenerationSettings


def parser() -> Parser:
    parser = Parser(prog="tool", description="Do something.")
    parser.add_argument("run", metavar="RUN", type=str, help="the folder of a run")
    parser.add_argument("more", metavar="MORE", type=str, nargs="*")
    parser.add_argument("--top-k", type=int | None)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--split", type=Literal["held-out", "training", "whole"])
    parser.add_argument("--text", type=str)
    parser.add_argument("--name", type=str, action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_class_arguments(GenerationSettings, "generation")
    return parser


PROBLEMS = [
    (["x", "--topk=3"], "unknown option '--topk'; did you mean '--top-k'?"),
    (["x", "--top_p", "0.5"], "unknown option '--top_p'; did you mean '--generation.top_p'?"),
    (["x", "--generation.topp=1"], "unknown option '--generation.topp'; did you mean '--generation.top_p'?"),
    (
        ["x", "--generating.top_p=1"],
        "unknown option '--generating.top_p'; did you mean '--generation.top_p'?",
    ),
    (["x", "--zzz"], "unknown option '--zzz'; tool --help lists all options"),
    (["x", "-k3"], "unknown option '-k3'; tool --help lists all options"),
    (["x", "--top-k", "many"], "--top-k is 'many'; expected a whole number or null"),
    (["x", "--top-k=1.5"], "--top-k is '1.5'; expected a whole number or null"),
    (["x", "--rate", "fast"], "--rate is 'fast'; expected a finite number"),
    (["x", "--split", "held-ot"], "--split is 'held-ot'; did you mean 'held-out'?"),
    (["x", "--split", "none"], "--split is 'none'; expected one of held-out, training, whole"),
    (["x", "--top-k"], "--top-k has no value"),
    (["x", "--text", "--json"], "--text has no value; for '--json', write --text=--json"),
    (["x", "--json=yes"], "--json is 'yes'; it takes no value"),
    (["--json"], "RUN is missing; expected the folder of a run"),
    (["x", "--generation.beams", "x"], "--generation.beams is 'x'; expected a whole number"),
    (["x", "--generation.stop=3"], "--generation.stop is '3'; expected a list of texts such as [a, b]"),
    (["x", "--generation", "{beams: x}"], "generation.beams is 'x'; expected a whole number"),
    (
        ["x", "--generation", "{beam: 2}"],
        "unknown option 'generation.beam'; did you mean 'generation.beams'?",
    ),
    (["x", "--generation", "beams"], "--generation is 'beams'; expected a YAML file, or a mapping such as"),
]


@pytest.fixture(params=["as it is", "reworded"])
def jsonargparse_messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """jsonargparse's messages: as the installed version has them, or such as no version has them."""
    if request.param == "reworded":
        ours = Parser.error

        def error(self: Parser, message: str, ex: Exception | None = None) -> None:
            ours(self, "Halt! Something about this input is amiss", ArgumentError(None, "amiss"))

        monkeypatch.setattr(Parser, "error", error)


@pytest.mark.usefixtures("jsonargparse_messages")
@pytest.mark.parametrize(("arguments", "words"), PROBLEMS)
def test_a_problem_of_a_command_line_is_named(arguments: Sequence[str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        parser().parse_args(arguments)
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("jsonargparse_messages")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("model: {n_layers: 3}", "unknown option 'model.n_layers'; did you mean 'model.n_layer'?"),
        ("training: {max_steps: soon}", "training.max_steps is 'soon'; expected a whole number"),
        ("model: {activation: relu}", "model.activation is 'relu'; expected gelu_tanh or gelu_exact"),
        (
            "model: {adaptive_cutoffs: x}",
            "model.adaptive_cutoffs is 'x'; expected a list of whole numbers such",
        ),
        ("corpus: {text_field: [a]}", "corpus.text_field is ['a']; expected text"),
        ("treads: 2", "unknown option 'treads'; did you mean 'threads'?"),
    ],
)
def test_a_problem_of_a_settings_file_is_named_with_the_file(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        parse_train_args(["--config", str(file)])
    assert str(raised.value).startswith(f"{file}: {words}")


@pytest.mark.usefixtures("jsonargparse_messages")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command given; expected load or save"),
        (["lod"], "there is no command 'lod'; did you mean 'load'?"),
        (["xyz"], "there is no command 'xyz'; expected load or save"),
        (["load"], "PATH is missing; expected a file"),
        (["load", "a", "b"], "unexpected argument 'b'"),
        (["load", "a", "--siez", "3"], "unknown option '--siez'; did you mean '--size'?"),
        (["load", "a", "--size", "x"], "--size is 'x'; expected a whole number"),
        (["save"], "--to is missing; expected where to"),
    ],
)
def test_a_problem_of_a_subcommand_is_named(arguments: Sequence[str], words: str) -> None:
    tool = Parser(prog="tool", description="Do something.")
    load, save = tool.add_command("load", "Load something."), tool.add_command("save", "Save something.")
    load.add_argument("path", metavar="PATH", type=str, help="a file")
    load.add_argument("--size", type=int)
    save.add_argument("--to", type=str, required=True, help="where to")
    assert load.prog == "tool load"
    with pytest.raises(InputError) as raised:
        tool.parse_args(arguments)
    assert str(raised.value) == words


def odd(text: str) -> int:
    if int(text) % 2 == 0:
        raise ValueError
    return int(text)


def test_what_we_cannot_explain_is_reported_in_the_words_of_jsonargparse() -> None:
    tool = parser()
    tool.add_argument("--odd", type=odd, default=3)
    with pytest.raises(InputError, match=r"--odd.*: invalid odd value: '2'"):
        tool.parse_args(["run", "--odd", "2"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["x", "y", "z", "--json", "--top-k", "null"],
        ["--top-k=-1", "x", "--text=--json", "--rate", "-0.5"],
        ["--text", "- a list", "--", "-x"],
        ["x", "--generation.beams=2", "--generation.logit_bias.the=2.5", "--name", "a", "--name=b"],
        ["x", "--generation", "{beams: 2}", "--generation.stop+=a"],
    ],
)
def test_good_arguments_have_no_problem(arguments: Sequence[str]) -> None:
    assert wrong_argument(parser(), arguments) is None
    parser().parse_args(arguments)


def test_good_settings_have_no_problem() -> None:
    settings: dict[str, Any] = {"data": "fables", "training": {"max_steps": 3, "grad_clip": None}}
    assert wrong_setting(_train_parser("x"), settings) is None


def test_every_option_of_training_has_a_type_that_errors_can_explain() -> None:
    """An upgrade of jsonargparse that hides the types of options is found here."""
    for action in _train_parser("x")._actions:
        is_section = action.dest in ("model", "corpus", "tokenizer", "training", "generation")
        if action.nargs != 0 and not is_section:
            assert hint_of(action) is not None, action.dest


def test_help_is_free_of_python() -> None:
    tool = parser()
    shown = tool.format_help()
    assert shown.startswith("usage: tool RUN [MORE ...] [options]\n")
    for unwanted in ("NoneType", "Literal", "type:", "null)", "Optional", "default: []", "default: {}"):
        assert unwanted not in shown
    shown = " ".join(shown.split())  # a line may end within a default
    assert "(default: 300)" in shown and "(default: false)" in shown
