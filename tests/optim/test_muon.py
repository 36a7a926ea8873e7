"""Muon, compared with its formula in loops and known properties of its iteration; planted mistakes."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scratchgpt as sg
from scratchgpt.nn.params import Param, ParamVector
from scratchgpt.ops.updates import muon as formula
from scratchgpt.ops.updates.muon import orthogonalise
from scratchgpt.optim import Muon
from scratchgpt.optim.muon import hidden_matrices, is_hidden
from tests.gradcheck.test_faults import ids, patched_module
from tests.support.adamw_by_hand import adamw
from tests.support.faults import MUON_FAULTS, Fault

LAYOUT = [
    Param("wte.weight", (5, 4), std=1.0),
    Param("h.0.attn.c_attn.weight", (4, 12), std=1.0),
    Param("h.0.attn.c_attn.bias", (12,), std=1.0),
    Param("h.0.mlp.c_fc.weight", (4, 7), std=1.0),
    Param("lm_head.weight", (5, 4), std=1.0),  # splits the hidden matrices into two runs
    Param("h.1.mlp.c_proj.weight", (7, 4), std=1.0),
    Param("ln_f.weight", (4,), std=1.0),
]
HIDDEN = {  # the hidden matrices, with the columns at which each is split
    "h.0.attn.c_attn.weight": [0, 4, 8, 12],
    "h.0.mlp.c_fc.weight": [0, 7],
    "h.1.mlp.c_proj.weight": [0, 4],
}
RATES = [0.1, 0.05, 0.2]
MOMENTUM, BETAS, EPS, DECAY, RATIO = 0.8, (0.7, 0.9), 1e-3, 0.3, 0.25

Matrix = list[list[float]]


def product(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(x * row[j] for x, row in zip(line, b, strict=True)) for j in range(len(b[0]))] for line in a]


def orthogonalise_by_hand(g: Matrix) -> Matrix:
    """Return the result of five iterations x ← a x + b (x xᵀ) x + c (x xᵀ)² x."""
    norm = math.sqrt(sum(x * x for line in g for x in line))
    x = [[value / norm for value in line] for line in g]
    for _ in range(5):
        gram = product(x, [list(column) for column in zip(*x, strict=True)])
        cubic = product(gram, x)
        quintic = product(gram, cubic)
        x = [
            [
                3.4445 * x[i][j] - 4.7750 * cubic[i][j] + 2.0315 * quintic[i][j]
                for j in range(len(x[0]))
            ]
            for i in range(len(x))
        ]  # fmt: skip
    return x


def muon_by_hand(w: np.ndarray, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """Return a matrix after each step, computed in loops."""
    rows, columns = w.shape
    m = [[0.0] * columns for _ in range(rows)]
    path = []
    for g, lr in zip(gradients, RATES, strict=True):
        new = np.empty_like(w)
        d = [[0.0] * columns for _ in range(rows)]
        for i in range(rows):
            for j in range(columns):
                m[i][j] = MOMENTUM * m[i][j] + (1 - MOMENTUM) * g[i, j]
                d[i][j] = MOMENTUM * m[i][j] + (1 - MOMENTUM) * g[i, j]
        o = orthogonalise_by_hand(d)
        for i in range(rows):
            for j in range(columns):
                decayed = w[i, j] - lr * DECAY * w[i, j]
                new[i, j] = decayed - lr * 0.2 * math.sqrt(max(rows, columns)) * o[i][j]
        w = new
        path.append(w)
    return path


def assert_follows_the_definition(optimizer_class: type[Muon]) -> None:
    """Compare three steps: hidden matrices with Muon in loops, the rest with AdamW by hand."""
    params = ParamVector.initial(LAYOUT, seed=0, dtype="float64")
    start = params.copy()
    rng = np.random.default_rng(1)
    gradients = [params.map(lambda flat: rng.standard_normal(flat.shape)) for _ in RATES]
    optimizer = optimizer_class(
        params, lr=123.0, momentum=MOMENTUM, betas=BETAS, eps=EPS, weight_decay=DECAY, adamw_lr_ratio=RATIO
    )
    expected: list[dict[str, np.ndarray]] = [{} for _ in RATES]
    for name, view in start.items():
        histories = [grads[name] for grads in gradients]
        if name in HIDDEN:
            cuts = HIDDEN[name]
            parts = [slice(first, last) for first, last in itertools.pairwise(cuts)]
            paths = [muon_by_hand(view[:, part], [g[:, part] for g in histories]) for part in parts]
            for step in range(len(RATES)):
                expected[step][name] = np.concatenate([path[step] for path in paths], axis=1)
        else:
            decay, rates = DECAY if view.ndim == 2 else 0.0, [rate * RATIO for rate in RATES]
            paths = np.array(
                [
                    adamw(view[index], [g[index] for g in histories], rates, BETAS, EPS, decay)
                    for index in np.ndindex(view.shape)
                ]
            )
            for step in range(len(RATES)):
                expected[step][name] = paths[:, step].reshape(view.shape)
    for step, (grads, lr) in enumerate(zip(gradients, RATES, strict=True)):
        before = grads.flat.copy()
        optimizer.step(grads, lr)
        np.testing.assert_array_equal(grads.flat, before, err_msg="step changed the gradients")
        for name, view in params.items():
            np.testing.assert_allclose(view, expected[step][name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_muon_follows_the_definition() -> None:
    assert_follows_the_definition(Muon)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 2**32 - 1),
)
def test_singular_values_end_near_one(rows: int, columns: int, scale: float, seed: int) -> None:
    """True of all singular values above 0.0015 of the norm; the singular vectors do not change."""
    rng = np.random.default_rng(seed)
    n = min(rows, columns)
    u, v = (np.linalg.qr(rng.standard_normal((size, n)))[0] for size in (rows, columns))
    s = np.exp(rng.uniform(math.log(0.012), 0.0, n))  # over √40 that is 0.0019 of the norm at least
    found = u.T @ orthogonalise(scale * (u * s) @ v.T) @ v
    values = np.diag(found)
    assert 0.68 <= values.min() <= values.max() <= 1.21
    np.testing.assert_allclose(found, np.diag(values), atol=1e-9)


@pytest.mark.parametrize("shape", [(6, 6), (6, 9), (9, 6), (1, 5), (5, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_result_is_close_to_the_orthogonal_factor(shape: tuple[int, int], dtype: str) -> None:
    """Of U Vᵀ, the nearest orthogonal matrix: five iterations bring each singular value within 0.32 of 1."""
    matrix = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix)
    assert found.dtype == dtype
    assert np.linalg.norm(found - u @ vt, ord=2) < 0.32
    cosine = np.sum(found * (u @ vt)) / np.linalg.norm(found) / np.linalg.norm(u @ vt)
    assert cosine > 0.97


def test_a_matrix_of_zeros_stays_one() -> None:
    np.testing.assert_array_equal(orthogonalise(np.zeros((3, 4))), 0.0)


def test_an_update_has_the_size_of_adamw_s() -> None:
    """The first step has a root mean square of about 0.2 lr in every hidden matrix, whatever its shape."""
    model = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=32))
    params = model.init(0, "float64")
    before = [matrix.copy() for matrix in hidden_matrices(params)]
    rng = np.random.default_rng(0)
    Muon(params, lr=0.5, weight_decay=0.0).step(params.map(lambda flat: rng.standard_normal(flat.shape)))
    for old, new in zip(before, hidden_matrices(params), strict=True):
        assert 0.14 * 0.5 < math.sqrt(np.mean((new - old) ** 2)) < 0.25 * 0.5


def test_which_parameters_of_a_gpt_are_hidden_matrices() -> None:
    config = sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=8, tie_weights=False)
    model = sg.GPT(config)
    names = {param.name for param in model.params if is_hidden(param)}
    kinds = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert names == {f"h.{i}.{kind}.weight" for i in range(2) for kind in kinds}
    params = model.init()
    matrices = hidden_matrices(params)
    assert [matrix.shape for matrix in matrices] == 2 * [*4 * [(8, 8)], (8, 32), (32, 8)]
    assert all(np.shares_memory(matrix, params.flat) for matrix in matrices)
    optimizer = Muon(params)
    assert "wte.weight" in optimizer.v
    assert "h.0.mlp.c_fc.bias" in optimizer.v
    assert not names & set(optimizer.v)


def test_threads_change_no_bit() -> None:
    model = sg.GPT(sg.GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16))
    weights = []
    for threads in (1, 2):
        params = model.init(0)
        optimizer = Muon(params, backend=sg.get_backend("numpy", threads))
        rng = np.random.default_rng(0)
        for gradient in rng.standard_normal((3, params.size)).astype("float32"):
            optimizer.step(ParamVector(params.layout, gradient))
        weights.append(params.flat)
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(
    "bad",
    [{"lr": -1.0}, {"momentum": 1.0}, {"betas": (0.9, 1.0)}, {"eps": 0.0}, {"weight_decay": -0.1},
     {"adamw_lr_ratio": -1.0}],
)  # fmt: skip
def test_bad_hyperparameters_are_named(bad: dict) -> None:
    with pytest.raises(sg.InputError, match=next(iter(bad))):
        Muon(ParamVector.initial(LAYOUT, 0), **bad)


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(4, 7), (7, 4), (5, 5)])
def test_muon_is_pytorchs(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps on a matrix. PyTorch iterates in bfloat16; this is turned off to compare all digits."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[peers]'")
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor)
    rng = np.random.default_rng(0)
    params = ParamVector.initial([Param("h.0.mlp.c_fc.weight", shape, std=1.0)], 0, "float64")
    theirs = torch.nn.Parameter(torch.tensor(params["h.0.mlp.c_fc.weight"].copy()))
    ours = Muon(params, lr=0.1, momentum=0.9, weight_decay=0.2)
    optimizer = torch.optim.Muon(
        [theirs], lr=0.1, momentum=0.9, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(3):
        gradient = rng.standard_normal(shape)
        ours.step(params.map(lambda _, g=gradient: g.ravel()))
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(params["h.0.mlp.c_fc.weight"], theirs.detach().numpy(), rtol=1e-10)


def patched_muon(module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> type[Muon]:
    """Return Muon with a patch in the optimizer or in its formula."""
    patched = patched_module(f"scratchgpt.{module}", old, new)
    if module == "optim.muon":
        return patched.Muon
    monkeypatch.setattr(formula, "update", patched.update)
    return Muon


@pytest.mark.parametrize("fault", MUON_FAULTS, ids=ids(MUON_FAULTS))
def test_a_wrong_muon_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    muon = patched_muon(fault.module, fault.old, fault.new, monkeypatch)
    with np.errstate(all="ignore"), pytest.raises((AssertionError, ValueError)):
        assert_follows_the_definition(muon)


@pytest.mark.parametrize("module, name", [("optim.muon", "def change("), ("ops.updates.muon", "def update(")])
def test_a_correct_muon_passes_when_patched_the_same_way(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_follows_the_definition(patched_muon(module, name, f"{name} ", monkeypatch))
