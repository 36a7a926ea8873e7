"""sample.py: its flags, prompts from files, JSON lines, probabilities."""

import dataclasses
import io
import json
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import scratchgpt as sg
from scratchgpt import __main__
from scratchgpt.cli.options.generation import chosen_settings, unescaped
from scratchgpt.cli.options.sample import parse_sample_args
from scratchgpt.cli.samples import batches
from scratchgpt.cli.samples.plain import RULE, print_texts
from scratchgpt.cli.samples.probabilities import LEVELS, colored, print_probabilities, quoted
from scratchgpt.generation import GenerationSettings
from scratchgpt.generation.token_stream import GeneratedToken
from tests.support.project import ROOT, Outcome

Command = Callable[..., Outcome]
LETTERS = "\nabcdefghi é"
FIELDS = [field.name for field in dataclasses.fields(GenerationSettings)]
SAVED = {"prompt": "abc", "max_new_tokens": 12, "temperature": 1.5}


def language_model() -> sg.LanguageModel:
    """One with texts of all lengths: it ends at "i"."""
    config = sg.GPTConfig(vocab_size=len(LETTERS), block_size=8, n_layer=1, n_head=2, n_embd=8, init_std=0.3)
    model, tokenizer = sg.GPT(config), sg.CharTokenizer(LETTERS)
    return sg.LanguageModel(
        model, model.init(4), tokenizer, sg.get_backend(), None, tuple(tokenizer.encode("i").tolist())
    )


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A folder that is like a run."""
    folder = tmp_path / "runs" / "small"
    language_model().save(folder)
    (folder / "last.safetensors").touch()  # the newest run is the one that has written it last
    (folder / "run.yaml").write_text(yaml.safe_dump({"generation": SAVED}), encoding="utf-8")
    return str(folder)


def save(run: str, **generation: object) -> None:
    Path(run, "run.yaml").write_text(yaml.safe_dump({"generation": SAVED | generation}), encoding="utf-8")


def parsed(run: str, *flags: str) -> GenerationSettings:
    return parse_sample_args([run, *flags]).generation


def refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2 and outcome.out == ""
    assert all(word in outcome.err for word in words), outcome.err
    assert outcome.err.count("\n") == 1


def test_every_setting_of_generation_has_a_flag_that_its_docstring_explains(command: Command) -> None:
    help_ = " ".join(command("sample.py", "--help").out.split())
    for name in FIELDS:
        assert f"--{name.replace('_', '-')} " in help_
    assert "sample among the k most likely tokens; 0 or null means all" in help_


def test_flags_override_what_the_run_has(run: str) -> None:
    save(run, top_k=3, stop=["x"])
    assert parsed(run) == GenerationSettings(**SAVED, top_k=3, stop=["x"])
    flags = "--top-p 0.9 --min-p 0.1 --no-repeat-ngram 3 --repetition-penalty 1.2 --top-k null --stop ''"
    assert parsed(run, *shlex.split(flags)) == GenerationSettings(
        **SAVED, top_p=0.9, min_p=0.1, no_repeat_ngram=3, repetition_penalty=1.2
    )
    search = "--temperature 0 --top-k 0 --beams 4 --length-penalty 2 --early-stopping true"
    groups = "--beam-groups 2 --diversity-penalty 1"
    found = parsed(run, *shlex.split(f"{search} {groups}"))
    assert (found.beams, found.beam_groups, found.length_penalty, found.early_stopping) == (4, 2, 2.0, True)


def test_what_may_be_given_several_times(run: str) -> None:
    found = parsed(run, "--stop", r"\n\n", "--stop", "END", "--banned", "null", "--banned", "[1, 2]")
    assert found.stop == ["\n\n", "END"] and found.banned == ["null", "[1, 2]"]
    flags = ("3=-5", "a=b=2.5", "'7'=1", r"\n=0.5", "'e'=100", '"\\t"=2', "'=3", "' '=4")
    found = parsed(run, *(word for bias in flags for word in ("--logit-bias", bias)))
    assert found.logit_bias == {
        3: -5.0, "a=b": 2.5, "7": 1.0, "\n": 0.5, "e": 100.0, "\t": 2.0, "'": 3.0, " ": 4.0
    }  # fmt: skip
    for bias in ("3", "=2", "a=b"):
        with pytest.raises(sg.InputError, match=r"--logit-bias is .*; expected TOKEN=NUMBER"):
            parsed(run, "--logit-bias", bias)


@given(st.text(r"\nta"))
def test_every_text_can_be_given_with_escapes(text: str) -> None:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t")
    assert unescaped(escaped) == text


def test_a_flag_wins_over_settings_that_it_does_not_go_with(
    command: Command, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save(run, top_k=20, top_p=0.9, no_repeat_ngram=4)
    done = command("sample.py", run, "--beams", "3", "--max-new-tokens", "4")
    assert done.code == 0, done.err
    assert "which are ignored: temperature 1.5, top_k 20, top_p 0.9\n" in done.err
    expected = language_model().generate("abc", max_new_tokens=4, beams=3, no_repeat_ngram=4)
    assert done.out == f"abc{expected}\n"
    save(run, beams=3, temperature=0.0, length_penalty=2.0)
    assert parsed(run, "--beams", "1").length_penalty == 1.0
    assert parsed(run, "--top-k", "5") == GenerationSettings(**SAVED | {"temperature": 0.0}, top_k=5)
    assert parsed(run, "--length-penalty", "0").beams == 3
    save(run, top_k=20)
    capsys.readouterr()
    refused(
        command("sample.py", run, "--beams", "2", "--top-p", "0.5"),
        "--top-p is 0.5, but beam search does not sample; leave it out",
    )


SOME = st.fixed_dictionaries(
    {},
    optional={
        "max_new_tokens": st.integers(0, 3),
        "min_new_tokens": st.integers(0, 3),
        "top_k": st.none() | st.integers(0, 2),
        "beams": st.integers(1, 3),
        "beam_groups": st.integers(1, 3),
        "diversity_penalty": st.sampled_from([0.0, 0.5]),
        "length_penalty": st.sampled_from([0.0, 1.0]),
    },
)


@given(SOME, SOME)
def test_what_was_typed_holds_and_as_much_as_can_of_what_was_saved(
    saved: dict[str, object], typed: dict[str, object]
) -> None:
    try:
        GenerationSettings(**saved)  # type: ignore[arg-type]
        GenerationSettings(**typed)  # type: ignore[arg-type]
    except sg.InputError:
        return
    settings, left_out = chosen_settings(saved, typed)
    assert all(getattr(settings, name) == value for name, value in typed.items())
    for name, value in saved.items():
        assert name in typed or name in left_out or getattr(settings, name) == value
    for name in left_out:  # one less does not do
        values = dataclasses.asdict(settings) | {name: saved[name]}
        with pytest.raises(sg.InputError):
            GenerationSettings(**values)  # type: ignore[arg-type]


def expected_texts(prompts: Sequence[str], seed: int) -> list[str]:
    lm = language_model()
    return [
        p + lm.generate(p, max_new_tokens=12, temperature=1.5, seed=seed + i) for i, p in enumerate(prompts)
    ]


def test_prompts_from_files_and_standard_input_in_their_order(
    command: Command, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["abc", "null", " d", "é"] * 5  # more than go through the model at once
    prompts = [prompt.replace("null", "ha") for prompt in prompts]
    assert len(prompts) > batches.MAX_TEXTS_AT_ONCE
    Path("p.txt").write_text("\n\n".join(prompts), encoding="utf-8")
    Path("p.jsonl").write_text("\n".join(json.dumps({"prompt": p}) for p in prompts), encoding="utf-8")
    expected = f"\n{RULE}\n".join(expected_texts(prompts, 3)) + "\n"
    assert command("sample.py", run, "--prompts", "p.txt", "--seed", "3").out == expected
    assert command("sample.py", run, "--prompts", "p.jsonl", "--seed", "3").out == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path("p.txt").read_bytes())))
    assert command("sample.py", run, "--prompts", "-", "--seed", "3").out == expected
    twice = command("sample.py", run, "--prompts", "p.txt", "--num-samples", "2", "--seed", "3").out
    both = [prompt for prompt in prompts for _ in range(2)]
    assert twice == f"\n{RULE}\n".join(expected_texts(both, 3)) + "\n"


def test_a_beam_search_writes_its_best_texts(command: Command, run: str) -> None:
    Path("p.txt").write_text("abc\nd\n", encoding="utf-8")
    flags = ["--beams", "3", "--temperature", "0", "--num-samples", "2", "--prompts", "p.txt"]
    found = command("sample.py", run, *flags).out
    lm = language_model()
    best = [
        (p, t)
        for p in ("abc", "d")
        for t in lm.generate_batch([p], max_new_tokens=12, beams=3, num_samples=2)
    ]
    assert found == f"\n{RULE}\n".join(p + text for p, text in best) + "\n"


def test_json_lines_say_everything(command: Command, run: str) -> None:
    prompts = ["abc", "é\ndé"]
    Path("p.jsonl").write_text("\n".join(json.dumps({"prompt": p}) for p in prompts), encoding="utf-8")
    flags = ["--json", "--alternatives", "2", "--num-samples", "3", "--prompts", "p.jsonl"]
    done = command("sample.py", run, *flags)
    assert done.code == 0 and done.err == ""
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [each["prompt"] for each in found] == ["abc"] * 3 + ["é\ndé"] * 3
    assert len({each["seed"] for each in found}) == 6
    assert {each["finish_reason"] for each in found} <= {"end", "length"}
    lm = language_model()
    for each in found:  # the seed gives the text again
        stream = lm.stream_tokens(
            each["prompt"], max_new_tokens=12, temperature=1.5, seed=each["seed"], n_alternatives=2
        )
        tokens = list(stream)
        assert each["finish_reason"] == stream.finish_reason
        assert each["text"] == "".join(token.text for token in tokens)
        assert [token["id"] for token in each["tokens"]] == [token.id for token in tokens]
        for token, expected in zip(each["tokens"], tokens, strict=True):
            assert token["text"] == expected.text
            assert token["logprob"] == pytest.approx(expected.logprob, abs=1e-5)
            assert [one["text"] for one in token["alternatives"]] == [one for one, _ in expected.alternatives]
    single = json.loads(command("sample.py", run, "--json", "--seed", "3").out)
    assert single["seed"] == 3 and "alternatives" not in single["tokens"][0]
    assert "é" in command("sample.py", run, "--json", "--prompt", "é").out  # readable, not \u00e9
    save(run, prompt=None)  # what the model begins with is said, so that it can be given again
    begun = command("sample.py", run, "--json", "--seed", "3").out
    assert json.loads(begun)["prompt"] == "\n"
    assert command("sample.py", run, "--json", "--seed", "3", "--prompt", "\n").out == begun


def test_texts_that_hold_tokens_back_do_not_disturb_each_other() -> None:
    lm = language_model()
    stop = [a + b + "d" for a in "abcdefgh" for b in "abcdefgh"]  # nearly everything is held back
    settings = GenerationSettings(max_new_tokens=20, temperature=1.5, stop=stop)
    asked = batches.requests(["abc", "d"], 40, seed=0)
    found = list(batches.samples(lm, asked, settings))
    how = dataclasses.asdict(settings)
    for one in found:
        stream = lm.stream_tokens(**how | dataclasses.asdict(one.request))
        assert one.text == "".join(token.text for token in stream)
        assert one.finish_reason == stream.finish_reason
    assert {one.finish_reason for one in found} == {"end", "length", "stop"}
    (nothing,) = batches.samples(lm, asked[:1], GenerationSettings(max_new_tokens=0))
    assert nothing.text == "" and nothing.finish_reason == "length"


def test_probabilities_over_a_pipe_are_a_table(command: Command, run: str) -> None:
    flags = ["--seed", "3", "--alternatives", "2", "--max-new-tokens", "3"]
    out = command("sample.py", run, *flags).out
    tokens = list(
        language_model().stream_tokens("abc", max_new_tokens=3, temperature=1.5, seed=3, n_alternatives=2)
    )
    assert out.startswith("abc" + "".join(token.text.replace("\n", "↵\n") for token in tokens))
    assert "\x1b" not in out and "token" in out and "1st" in out
    for token in tokens:
        assert f"{math.exp(token.logprob):.3f}" in out and quoted(token.text) in out
        assert all(f"{quoted(text)} {math.exp(lp):.3f}" in out for text, lp in token.alternatives)
    two = command("sample.py", run, "--show-probabilities", "--num-samples", "2", "--seed", "3").out
    assert two.count("probability") == 2 and RULE in two and "1st" not in two


def test_probabilities_on_a_terminal_are_colors() -> None:
    tokens = [
        GeneratedToken(0, text, math.log(p), []) for text, p in [("a", 0.9), ("\n", 0.3), ("\x1b", 0.001)]
    ]
    for token, level in zip(tokens, (0, 1, 4), strict=True):
        assert str(colored(token).style) == LEVELS[level][1]
    file = io.StringIO()
    out = Console(file=file, force_terminal=True, color_system="truecolor", highlight=False, width=200)
    print_probabilities(out, [("x", tokens)])
    shown = file.getvalue()
    assert (
        "\x1b[2mx\x1b[0ma" in shown and "↵" in shown and "\x1b " not in shown
    )  # its escape is none any more
    assert all(f" {words} " in shown for _, _, words in LEVELS) and "token " not in shown
    plain = io.StringIO()
    print_probabilities(Console(file=plain, force_terminal=True, no_color=True, width=200), [("x", tokens)])
    assert "0.900" in plain.getvalue() and "over 50 %" not in plain.getvalue()


@pytest.mark.parametrize(("width", "n_alternatives"), [(40, 4), (40, 12), (200, 40)])
def test_where_alternatives_have_no_room_beside_each_other_they_are_below(
    width: int, n_alternatives: int
) -> None:
    alternatives = [(f"t{i}", math.log(0.5 / (i + 1))) for i in range(n_alternatives)]
    file = io.StringIO()
    print_probabilities(
        Console(file=file, width=width), [("x", [GeneratedToken(0, " the", math.log(0.25), alternatives)])]
    )
    shown = file.getvalue()
    assert "…" not in shown and '" the"' in shown and "0.250" in shown
    for text, logprob in alternatives:
        assert f"{quoted(text)} {math.exp(logprob):.3f}" in shown
    assert max(map(len, shown.splitlines())) <= width


def test_a_terminal_obeys_nothing_that_a_model_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for file, expected in ((Terminal(), "a\n [2Jb\n"), (io.StringIO(), "a\n\x1b[2Jb\n")):
        monkeypatch.setattr("sys.stdout", file)
        print_texts([("a\n", ["\x1b[2J", "b"])])
        assert file.getvalue() == expected


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--prompts nowhere.txt", ["nowhere.txt does not exist"]),
        ("--prompts empty.txt", ["empty.txt is empty"]),
        ("--prompts blank.txt", ["blank.txt is only whitespace"]),
        (
            "--prompts long.txt",
            ["long.txt, line 3: the prompt has 9 tokens; expected 1 to block_size = 8, so keep the last 8\n"],
        ),
        ("--prompts odd.txt", ["odd.txt, line 2: character 'z'", "is not in the tokenizer's vocabulary"]),
        ("--prompts bytes.txt", ["bytes.txt is not UTF-8"]),
        ("--prompts bad.jsonl", ["bad.jsonl, line 2 has no field 'prompt'"]),
        ("--prompts none.jsonl", ["line 1: the prompt has no tokens; expected at least 1\n"]),
        ("--prompts long.txt --prompt a", ["--prompts long.txt and --prompt exclude each other"]),
        ("--json --show-probabilities", ["--json writes the probability of each token anyway"]),
        ("--json --beams 2 --temperature 0", ["--beams is 2; expected 1 with --json"]),
        ("--alternatives -1", ["alternatives is -1; expected at least 0"]),
        (
            "--num-samples 3 --beams 2 --temperature 0",
            ["--num-samples is 3; expected at most --beams, which is 2"],
        ),
        ("--top-q 0.5", ["did you mean '--top-"]),
        ("--top-p 2", ["--top-p is 2.0; expected a number in (0, 1]"]),
        ("--beams x", ["--beams is 'x'; expected a whole number"]),
    ],
)
def test_bad_options_are_refused(command: Command, run: str, flags: str, words: list[str]) -> None:
    files = {
        "empty.txt": "",
        "blank.txt": "\n \n",
        "long.txt": "a\n\nabcabcabc\nz\n",
        "odd.txt": "a\nz\n",
        "bad.jsonl": '{"prompt": "a"}\n{"text": "b"}\n',
        "none.jsonl": '{"prompt": ""}',
    }
    for name, text in files.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("bytes.txt").write_bytes(b"a\xff")
    refused(command("sample.py", run, *shlex.split(flags)), "sample.py: error: ", *words)


def test_an_unknown_flag_names_ours_only(command: Command, run: str) -> None:
    done = command("sample.py", run, "--zzz")
    assert "unknown option '--zzz'; sample.py --help lists all options" in done.err
    assert "shtab" not in command("sample.py", run, "--print_shta").err


def test_scratchgpt_sample_is_the_same_program(
    command: Command, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = command("sample.py", run, "--seed", "1").out
    assert (ROOT / "sample.py").is_file()
    assert __main__.main(["sample", run, "--seed", "1"]) == 0
    assert capsys.readouterr().out == expected
    monkeypatch.setattr("sys.argv", ["scratchgpt"])
    assert __main__.main(["sample", "--seed", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == expected and "scratchgpt sample: from " in captured.err
