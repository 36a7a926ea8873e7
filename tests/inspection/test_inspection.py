"""What is seen inside a model is what the model does."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

import scratchgpt as sg
from scratchgpt.backends import Backend
from scratchgpt.cli.commands.inspect import main
from scratchgpt.evaluation.log_probs import log_probs_of
from scratchgpt.gradcheck.model_cases import ADAPTIVE_CONFIGS, CONFIGS, awkward_params
from scratchgpt.inspection import figures, residual
from scratchgpt.inspection.attention_maps import attention_maps
from scratchgpt.inspection.gradient_norms import gradient_norms
from scratchgpt.inspection.labels import drawable, labels
from scratchgpt.inspection.logit_lens import layer_logits, logit_lens
from scratchgpt.nn.passes import logits
from scratchgpt.tokenizers.bpe_training import train_bpe
from scratchgpt.tokenizers.split_patterns import PATTERNS
from tests.support import gpu

CONFIG = sg.GPTConfig(11, 8, n_layer=3, n_head=2, n_embd=16, dropout=0.5)
MODEL = sg.GPT(CONFIG)
PARAMS = awkward_params(MODEL)
IDS = np.array([3, 1, 4, 1, 5, 9, 2], dtype=np.int32)


def layer_norm(x: np.ndarray, name: str) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centered**2).mean(-1, keepdims=True) + CONFIG.layer_norm_epsilon)
    return PARAMS[f"{name}.weight"] * centered / scale + PARAMS[f"{name}.bias"]


def by_hand() -> tuple[list[np.ndarray], np.ndarray]:
    """Return the streams, and the attention of every head written as loops over queries and keys."""
    x = PARAMS["wte.weight"][IDS] + PARAMS["wpe.weight"][: len(IDS)]
    (T, C), D = x.shape, CONFIG.n_embd // CONFIG.n_head
    streams, maps = [x], np.zeros((CONFIG.n_layer, CONFIG.n_head, T, T))
    for layer in range(CONFIG.n_layer):
        name = f"h.{layer}"
        h = layer_norm(x, f"{name}.ln_1")
        qkv = h @ PARAMS[f"{name}.attn.c_attn.weight"] + PARAMS[f"{name}.attn.c_attn.bias"]
        heads = np.zeros((T, C))
        for head in range(CONFIG.n_head):
            q, k, v = (qkv[:, i * C + head * D : i * C + (head + 1) * D] for i in range(3))
            for t in range(T):
                weights = [math.exp(float(q[t] @ k[s]) / math.sqrt(D)) for s in range(t + 1)]
                maps[layer, head, t, : t + 1] = np.array(weights) / sum(weights)
                heads[t, head * D : (head + 1) * D] = maps[layer, head, t, : t + 1] @ v[: t + 1]
        x = x + heads @ PARAMS[f"{name}.attn.c_proj.weight"] + PARAMS[f"{name}.attn.c_proj.bias"]
        h = (
            layer_norm(x, f"{name}.ln_2") @ PARAMS[f"{name}.mlp.c_fc.weight"]
            + PARAMS[f"{name}.mlp.c_fc.bias"]
        )
        h = 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
        x = x + h @ PARAMS[f"{name}.mlp.c_proj.weight"] + PARAMS[f"{name}.mlp.c_proj.bias"]
        streams.append(x)
    return streams, maps


def test_attention_is_what_loops_over_queries_and_keys_give(backend: Backend) -> None:
    found = attention_maps(sg.BoundModel(MODEL, PARAMS, backend), IDS)
    np.testing.assert_allclose(found, by_hand()[1], rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=0, atol=1e-12)
    assert (found[..., ~np.tri(len(IDS), dtype=bool)] == 0).all()


def test_recomputed_blocks_can_be_inspected(backend: Backend) -> None:
    model = sg.GPT(CONFIG, recompute=True)
    np.testing.assert_array_equal(
        attention_maps(sg.BoundModel(model, PARAMS, backend), IDS),
        attention_maps(sg.BoundModel(MODEL, PARAMS, backend), IDS),
    )


def test_inspection_changes_nothing(backend: Backend) -> None:
    table, before = dict(vars(backend.ops)), logits(MODEL, PARAMS, IDS[None], backend=backend)
    attention_maps(sg.BoundModel(MODEL, PARAMS, backend), IDS)
    assert vars(backend.ops) == table
    np.testing.assert_array_equal(logits(MODEL, PARAMS, IDS[None], backend=backend), before)


def test_residual_norms_and_features(backend: Backend) -> None:
    streams, _ = by_hand()
    expected = np.sqrt((np.stack(streams) ** 2).sum(axis=-1))
    np.testing.assert_allclose(
        residual.norms(sg.BoundModel(MODEL, PARAMS, backend), IDS), expected, rtol=1e-11
    )
    found = residual.features(sg.BoundModel(MODEL, PARAMS, backend), IDS)
    np.testing.assert_allclose(found, layer_norm(streams[-1], "ln_f"), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [*CONFIGS, *ADAPTIVE_CONFIGS])
def test_the_last_layer_of_the_logit_lens_is_the_model(backend: Backend, name: str) -> None:
    config = (CONFIGS | ADAPTIVE_CONFIGS)[name]
    model = sg.GPT(config)
    params, ids = awkward_params(model), np.arange(config.block_size) % config.vocab_size
    every = list(layer_logits(sg.BoundModel(model, params, backend), ids))
    assert len(every) == config.n_layer + 1
    np.testing.assert_array_equal(every[-1], logits(model, params, ids[None], backend=backend)[0])


def test_the_logit_lens_reads_each_stream_with_the_last_norm_and_the_head(backend: Backend) -> None:
    lens = logit_lens(sg.BoundModel(MODEL, PARAMS, backend), IDS, vocab_size=9)
    assert lens.ids.shape == lens.probs.shape == (4, 7) and lens.last.shape == (9,)
    for layer, x in enumerate(by_hand()[0]):
        scores = np.exp(layer_norm(x, "ln_f") @ PARAMS["wte.weight"].T)[:, :9]
        probs = scores / scores.sum(axis=-1, keepdims=True)
        np.testing.assert_array_equal(lens.ids[layer], probs.argmax(axis=-1))
        np.testing.assert_allclose(lens.probs[layer], probs.max(axis=-1), rtol=1e-10)
    np.testing.assert_allclose(lens.last, probs[-1], rtol=1e-10)


def test_squared_gradient_norms_sum_to_the_squared_global_norm(backend: Backend) -> None:
    loss, norms = gradient_norms(sg.BoundModel(MODEL, PARAMS, backend), IDS)
    expected, grads = sg.loss_and_grads(MODEL, PARAMS, IDS[None, :-1], IDS[None, 1:], backend=backend)
    assert loss == expected and list(norms) == [param.name for param in MODEL.params]
    whole = sg.clip_grad_norm(grads.copy(), max_norm=1.0)
    assert math.fsum(norm**2 for norm in norms.values()) == pytest.approx(float(whole) ** 2, rel=1e-10)
    for name, norm in norms.items():
        assert norm == pytest.approx(math.sqrt((grads[name] ** 2).sum()), rel=1e-12)


@pytest.mark.parametrize("n", [0, 9])
def test_texts_that_do_not_fit(backend: Backend, n: int) -> None:
    ids = np.ones(n, dtype=np.int32)
    for look in (attention_maps, residual.norms, residual.features):
        with pytest.raises(sg.InputError, match=f"the text has {n} tokens; expected 1 to block_size = 8"):
            look(sg.BoundModel(MODEL, PARAMS, backend), ids)


def language_model(model: sg.GPT = MODEL) -> sg.LanguageModel:
    return sg.LanguageModel(model, model.init(3), sg.CharTokenizer("\n $abcdefgh"), sg.get_backend())


def test_methods_of_a_language_model() -> None:
    lm = language_model()
    assert lm.embed("bad $").shape == (5, 16) and lm.embed("bad $").dtype == np.float32
    assert lm.attention("bad $").shape == (3, 2, 5, 5)
    ids = lm.tokenizer.encode("bad $")
    np.testing.assert_array_equal(
        lm.embed("bad $"), residual.features(sg.BoundModel(MODEL, lm.params, lm.backend), ids)
    )
    np.testing.assert_array_equal(
        lm.attention("bad $"), attention_maps(sg.BoundModel(MODEL, lm.params, lm.backend), ids)
    )
    for use in (lm.embed, lm.attention):
        with pytest.raises(sg.InputError, match="the text has 0 tokens"):
            use("")
        with pytest.raises(sg.InputError, match="'z'"):
            use("z")


def test_labels_show_invisible_characters() -> None:
    tokenizer = sg.CharTokenizer(" \n\t\x00ab$漢")
    assert labels(tokenizer, tokenizer.encode(" \n\ta\x00漢").tolist()) == ["␣", "↵", "→", "a", "\\x00", "漢"]
    assert drawable(["漢$", "␣↵→…∅", "é"]) == ["\\u6f22\\$", "␣↵→…∅", "é"]
    bpe = train_bpe({"a" * 16: 9}, 265, PATTERNS["gpt2"], [])
    word, *parts = labels(bpe, bpe.encode("a" * 16 + "é").tolist())
    assert word == "aaaaaaaaaaa…" and parts == ["\\xc3", "\\xa9"]


class Page(HTMLParser):
    """A page's elements, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def run(tmp_path: Path) -> Path:
    language_model().save(tmp_path / "a run")
    return tmp_path / "a run"


def test_the_command_draws_and_reports_its_files(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), "--text", "a\n $bad$ cafe"]) == 0
    out = capsys.readouterr().out
    folder = run / "inspect"
    names = {path.name for path in folder.iterdir()}
    expected = {"next-tokens", "logit-lens", "residual-norms", "gradient-norms"}
    expected |= {f"attention-{layer}" for layer in range(3)}
    assert names == {f"{name}.png" for name in expected} | {"inspect.html"}
    pictures = {name: imread(folder / name) for name in names if name.endswith(".png")}
    assert all(pixels.std() > 0.01 for pixels in pictures.values())  # none is blank
    assert "read the last 8 of 13 tokens" in out and str(folder / "inspect.html") in out


def test_the_table_has_the_probabilities_of_the_model(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(run), "--text", "bad", "--out", str(run / "elsewhere"), "--backend", "reference"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if re.search(r"0\.\d{4} *$", line)]
    lm = sg.load(run)
    scores = np.exp(logits(lm.model, lm.params, lm.tokenizer.encode("bad")[None])[0, -1].astype(float))
    for _, token, prob in rows:
        assert float(prob) == pytest.approx(scores[int(token)] / scores.sum(), abs=1e-4)
    assert [int(token) for _, token, _ in rows] == np.argsort(-scores)[:10].tolist()
    assert (run / "elsewhere" / "inspect.html").exists()


def test_the_page_needs_nothing_else_and_is_safe(tmp_path: Path) -> None:
    tokenizer = sg.CharTokenizer("<script>&\"' ")
    model = sg.GPT(sg.GPTConfig(tokenizer.vocab_size, 16, n_layer=1, n_head=1, n_embd=4))
    sg.LanguageModel(model, model.init(), tokenizer, sg.get_backend()).save(tmp_path / "<b>")
    assert main([str(tmp_path / "<b>"), "--text", "<script>&\"' <"]) == 0
    text = (tmp_path / "<b>" / "inspect" / "inspect.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 5 and all(
        (a["src"] or "").startswith("data:image/png;base64,") and a["alt"] for a in images
    )
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "b", "a"}
    assert not any(
        name in ("href", "onload", "onclick") for _, attributes in page.tags for name in attributes
    )
    outside = re.sub(r'src="data:[^"]*"', "", text)
    assert "http" not in outside.replace("http-equiv", "") and "url(" not in outside and "//" not in outside


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text", ""], "the text has 0 tokens; expected at least 2"),
        (["--text", "a"], "the text has 1 token; expected at least 2"),
        (["--text", "xyz"], "'x'"),
        (["--text", "bad", "--checkpoint", "latest"], "--checkpoint is 'latest'; did you mean 'last'?"),
        (["--text", "bad", "--checkpoint", "last"], "last.safetensors does not exist"),
        (["--text", "bad", "--backend", "torch"], "backend is 'torch'"),
    ],
)
def test_bad_input_leaves_no_files(run: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(sg.InputError, match=re.escape(words)):
        main([str(run), *arguments])
    assert not (run / "inspect").exists()


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(sg.InputError, match=re.escape(str(tmp_path))):
        main([str(tmp_path), "--text", "bad"])
    with pytest.raises(sg.InputError, match="nowhere is not a folder; add --out FOLDER"):
        main([str(tmp_path / "nowhere"), "--text", "bad"])


@pytest.mark.parametrize("n_words", [1, 2, 40, 64])
@pytest.mark.parametrize("n_heads", [1, 5, 12])
def test_every_head_has_a_map_with_a_label_for_each_token(n_words: int, n_heads: int) -> None:
    words = [f"w{i}" for i in range(n_words)]
    figure = figures.attention(np.zeros((n_heads, n_words, n_words)), 12, words)
    maps = [axes for axes in figure.axes if axes.get_title().startswith("head ")]
    assert [axes.get_title() for axes in maps] == [f"head {12 + i}" for i in range(n_heads)]
    for axes in maps:
        assert [label.get_text() for label in axes.get_yticklabels()] == words
        assert [label.get_text() for label in axes.get_xticklabels()] == words
    assert figure.get_figwidth() <= figures.WIDTH + 1e-9


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_attention_maps_show_the_probabilities() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(4), (3, 4))
    figure = figures.attention(probs, 0, list("abcd"))
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.get_title().startswith("head ")]
    np.testing.assert_array_equal(np.stack(shown), probs)


def test_next_tokens_are_bars_of_their_probabilities() -> None:
    axes = figures.next_tokens(["the", "a"], [0.75, 0.125]).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.75, 0.125]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["the", "a"]
    assert texts(axes) == ["0.75", "0.125"]
    assert axes.yaxis_inverted()  # the likeliest on top


def test_residual_norms_are_shown_by_token_and_by_layer() -> None:
    norms = np.array([[1.0, 3.0], [2.0, 4.0], [5.0, 7.0]])
    above, below, *_ = figures.residual_norms(norms, ["a", "b"]).axes
    np.testing.assert_array_equal(above.images[0].get_array(), norms)
    assert [label.get_text() for label in above.get_yticklabels()] == ["embedding", "h.0", "h.1"]
    assert [label.get_text() for label in above.get_xticklabels()] == ["a", "b"]
    np.testing.assert_array_equal(below.lines[0].get_ydata(), norms.mean(axis=1))


def test_the_logit_lens_names_a_token_and_its_probability_in_every_cell() -> None:
    probs = np.array([[0.25, 0.5], [0.75, 1.0]])
    axes = figures.logit_lens([["a", "b"], ["c", "d"]], probs, ["x", "y"]).axes[0]
    assert texts(axes) == ["a .25", "b .50", "c .75", "d 1.00"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["embedding", "h.0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]


def test_gradient_norms_are_a_table_of_the_blocks_and_bars_of_the_rest() -> None:
    norms = {"wte.weight": 0.5, "h.0.ln_1.weight": 1.5, "h.1.ln_1.weight": 2.5, "ln_f.weight": 0.25}
    above, below, *_ = figures.gradient_norms(norms).axes
    np.testing.assert_array_equal(above.images[0].get_array(), [[1.5, 2.5]])
    assert texts(above) == ["1.5", "2.5"]
    assert [label.get_text() for label in above.get_yticklabels()] == ["ln_1.weight"]
    assert [bar.get_width() for bar in below.patches] == [0.5, 0.25]
    assert [label.get_text() for label in below.get_yticklabels()] == ["wte.weight", "ln_f.weight"]


def drawn(figure: figures.Figure, path: Path) -> None:
    """Save a figure and check that the picture is not blank."""
    figures.save(figure, path)
    pixels = imread(path)
    assert pixels.ndim == 3 and pixels.std() > 0.01


@pytest.mark.parametrize("n_layer", [1, 12, 48])
def test_pictures_of_extreme_numbers(tmp_path: Path, n_layer: int) -> None:
    zero = {f"h.{i}.{kind}": 0.0 for i in range(n_layer) for kind in ("ln_1.weight", "mlp.bias")}
    for norms in (
        zero | {"wte": 0.0},
        zero | {"h.0.mlp.bias": 1e-30, "wte": 1e8},
        dict.fromkeys([*zero, "wte"], 1.0),
    ):
        drawn(figures.gradient_norms(norms), tmp_path / "a.png")
    for values in (np.zeros((n_layer + 1, 2)), np.array([[1e-9, 1e9]] * (n_layer + 1))):
        drawn(figures.residual_norms(values, ["a", "b"]), tmp_path / "b.png")
        said = [["a", "\\$"]] * (n_layer + 1)
        drawn(figures.logit_lens(said, np.clip(values, 0, 1), ["a", "b"]), tmp_path / "c.png")
    drawn(figures.next_tokens(["a"], [1.0]), tmp_path / "d.png")


@pytest.mark.peers
def test_attention_and_hidden_states_of_transformers(backend: Backend) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
    transformers = pytest.importorskip("transformers", reason="pip install -e '.[peers]'")
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_layer=3, n_head=2, n_embd=16, attn_implementation="eager"
    )
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    params = MODEL.init()
    with torch.no_grad():
        for name, tensor in theirs.transformer.named_parameters():
            tensor.copy_(torch.tensor(PARAMS[name]))
            params[name][...] = PARAMS[name]
        said = theirs(
            torch.tensor(IDS[None].astype(np.int64)), output_attentions=True, output_hidden_states=True
        )
    found = attention_maps(sg.BoundModel(MODEL, params, backend), IDS)
    for layer, probs in enumerate(said.attentions):
        np.testing.assert_allclose(found[layer], probs[0].numpy(), rtol=0, atol=1e-5)
    *streams, last = [state[0].numpy() for state in said.hidden_states]
    np.testing.assert_allclose(
        residual.features(sg.BoundModel(MODEL, params, backend), IDS), last, rtol=0, atol=1e-5
    )
    norms = residual.norms(sg.BoundModel(MODEL, params, backend), IDS)
    np.testing.assert_allclose(norms[:-1], np.linalg.norm(np.stack(streams), axis=-1), rtol=1e-5)
    lens = list(layer_logits(sg.BoundModel(MODEL, params, backend), IDS))
    np.testing.assert_allclose(lens[-1], said.logits[0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_cupy_shows_what_numpy_shows(precision: str) -> None:
    model = sg.GPT(sg.GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=16))
    params, ids, numpy = model.init(), IDS, sg.get_backend()
    cupy = gpu.backend(precision)
    close = {"rtol": 0, "atol": 1e-5 if precision == "float32" else 2e-2}
    for look in (attention_maps, residual.norms, residual.features, log_probs_of):
        found = look(sg.BoundModel(model, params, cupy), ids)
        assert isinstance(found, np.ndarray) and found.dtype in (np.float32, np.float64)
        np.testing.assert_allclose(found, look(sg.BoundModel(model, params, numpy), ids), **close)
    lens, expected = (logit_lens(sg.BoundModel(model, params, backend), ids, 11) for backend in (cupy, numpy))
    np.testing.assert_allclose(lens.probs, expected.probs, **close)
    assert gradient_norms(sg.BoundModel(model, params, cupy), ids)[1] == pytest.approx(
        gradient_norms(sg.BoundModel(model, params, numpy), ids)[1],
        rel=0.1 if precision == "bf16" else 1e-4,
        abs=1e-6,
    )
