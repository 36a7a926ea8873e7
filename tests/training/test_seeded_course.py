"""The course of a seeded run: the losses and weights of its first 50 steps are known, and must not change.

Other tests compare the engine with definitions, finite differences and PyTorch. This one notices what they
cannot: a batch drawn at another position, initial weights drawn in another order, a learning rate that is one
step late. Any of these would be correct, yet change every loss from then on and every published result.

The run is the default model with the default recipe (configs/default.yaml), in float64 with the backend
`reference`, on the whole text of the fables. If you change its course on purpose, say so in CHANGELOG.md and
replace the numbers below by those that the failing test reports.
"""

import numpy as np
import pytest

import scratchgpt as sg
from scratchgpt.data import random_batch
from scratchgpt.ops.rng import step_rng
from scratchgpt.training.step import TrainingStep
from tests.support.project import ROOT

SEED = 1337
BATCH_SIZE, BLOCK_SIZE = 12, 64

# Training loss in nats per character, by step.
LOSSES = {
    0: 4.186197432483869,  # ln 63 = 4.14 would mean that all 63 characters are equally likely
    1: 4.080405760118067,
    9: 3.42176272999472,
    19: 2.8115550257348567,
    29: 2.82557838083934,
    39: 2.631794465545042,
    49: 2.618799992999573,
}
# After 50 steps: the sum over each of a few parameters, and the sum of the squares of all weights.
SUMS = {
    "wte.weight": 3.5047026717794707,
    "wpe.weight": 2.2106214761779643,
    "h.0.attn.c_attn.weight": -0.9197540751201365,
    "h.1.ln_2.bias": 0.06371889395271135,
    "h.2.mlp.c_proj.weight": -0.6178010623391809,
    "ln_f.weight": 134.70387350703248,
}
SUM_OF_SQUARES = 1144.4003713905047

# Rounding depends on the BLAS library; 50 steps amplify it, but far less than this.
TOLERANCE = 1e-10


def close(expected: float) -> object:
    """Compare relative to the size of a number, and absolutely if it is a sum near 0."""
    return pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


def train(n_steps: int) -> tuple[list[float], sg.ParamVector]:
    """Return the losses and the final weights of the first steps of the default run."""
    text = (ROOT / "data" / "fables.txt").read_text(encoding="utf-8")
    tokenizer = sg.CharTokenizer.train(text)
    tokens = tokenizer.encode(text)

    config = sg.GPTConfig(
        vocab_size=tokenizer.vocab_size, block_size=BLOCK_SIZE, n_layer=3, n_head=4, n_embd=128
    )
    model = sg.GPT(config)
    params = model.init(SEED, "float64")
    backend = sg.get_backend("reference")
    optimizer = sg.AdamW(params, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, backend=backend)
    take_step = TrainingStep(model, optimizer, grad_clip=1.0)

    for step in range(n_steps):
        rng = step_rng(SEED, step)
        x, y = random_batch(tokens, BATCH_SIZE, BLOCK_SIZE, rng)
        lr = sg.learning_rate("cosine", step, peak=4e-3, floor=2e-4, warmup_steps=50, max_steps=2000)
        take_step(x, y, lr, rng)
    return [taken.loss for taken in take_step.read()], params


def test_the_first_two_losses() -> None:
    losses, _ = train(n_steps=2)
    assert losses == [close(LOSSES[0]), close(LOSSES[1])]


@pytest.mark.slow
def test_the_losses_and_weights_of_fifty_steps() -> None:
    losses, params = train(n_steps=50)
    assert {step: losses[step] for step in LOSSES} == {step: close(loss) for step, loss in LOSSES.items()}
    assert {name: float(params[name].sum()) for name in SUMS} == {
        name: close(total) for name, total in SUMS.items()
    }
    assert float(np.vdot(params.flat, params.flat)) == close(SUM_OF_SQUARES)
