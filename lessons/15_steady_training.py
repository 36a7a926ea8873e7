# %% [markdown]
# # Lesson 15 · Steady training: clip, accumulate, warm up
#
# **Question.** A few steps that are too long can throw a training run far back, and a good batch may be too
# large for memory. Which three small habits keep training steady?

# %%
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.nn.accumulation import GradientAccumulator
from scratchgpt.ops import cross_entropy
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.ops.updates import clip

lesson = Lesson(15)


def engine_clip(gradients, max_norm):
    """Call the engine's clip, which works in place on one flat vector, in the form of the exercise."""
    flat = np.concatenate([g.ravel() for g in gradients])
    norm = clip.clip(flat, max_norm)
    ends = np.cumsum([g.size for g in gradients])[:-1]
    return [part.reshape(g.shape) for part, g in zip(np.split(flat, ends), gradients, strict=True)], norm


def engine_accumulate(parts, counts):
    """Call the engine's accumulator, which expects parts that are already divided by the number of all targets."""
    handles = [sg.Param(str(i), g.shape) for i, g in enumerate(parts[0])]
    start = sg.ParamVector(handles, np.zeros(sum(g.size for g in parts[0])))
    accumulator = GradientAccumulator(start, len(parts))
    for index, (gradients, count) in enumerate(zip(parts, counts, strict=True)):
        micro_batch = accumulator.micro_batch(index)
        for handle, g in zip(handles, gradients, strict=True):
            micro_batch.add(handle, g * (count / sum(counts)))
    total = accumulator.total()
    return [total[handle] for handle in handles]


engine = SimpleNamespace(clip=engine_clip, accumulate=engine_accumulate, learning_rate=sg.cosine_with_warmup)
functions = lesson.functions(engine)

# %% [markdown]
# ## Clip, by hand
#
# The gradient of a model is many arrays, but together they are one vector, and its length is the **global
# norm**. **Gradient clipping** sets a limit c: if the norm exceeds it, all arrays are multiplied by the same
# factor.
#
# $$\|g\| = \sqrt{\sum_{\text{arrays}} \sum g^2} \qquad g \leftarrow g \cdot \min\!\Big(1, \frac{c}{\|g\|}\Big) \tag{15.1}$$
#
# Take two arrays with one number each, 3 and 4. The norm is √(9 + 16) = 5. With c = 1 they become 0.6 and
# 0.8: shorter, but in the same direction. Clipped array by array, they would become 1 and 1, which points
# elsewhere.

# %%
lesson.title("Clip")
gradients = [np.array([3.0]), np.array([4.0])]
clipped, norm = functions.clip(gradients, 1.0)
lesson.holds("norm", norm, 5.0)
lesson.holds("clipped at 1", clipped, [[0.6], [0.8]], tolerance=1e-6)
clipped, _ = functions.clip(gradients, 10.0)
lesson.holds("clipped at 10", clipped, [[3.0], [4.0]])
angle = np.degrees(np.arccos(np.dot([0.6, 0.8], [1.0, 1.0]) / np.sqrt(2)))
lesson.holds("degrees by which clipping array by array turns the step", round(float(angle), 1), 8.1)

# %% [markdown]
# ## Accumulate, by hand
#
# A batch that does not fit into memory is cut into **micro-batches**, whose gradients are added up. This is
# **gradient accumulation**. The loss is a mean over all N targets. Let micro-batch i have $n_i$ targets, and
# let $g_i$ be the gradient of *its own* mean loss. Then $n_i g_i$ is the gradient of the sum of its losses,
# sums may be added, and
#
# $$g = \frac1N \sum_i n_i g_i = \sum_i \frac{n_i}{N}\, g_i, \qquad N = \sum_i n_i \tag{15.2}$$
#
# Three targets with a mean gradient of 1, and one target with a gradient of 5, give (3 · 1 + 1 · 5) / 4 = 2.
# The *mean of means* is (1 + 5) / 2 = 3. It is right only if all $n_i$ are equal. Texts have different
# lengths, so they seldom are, and this mistake has been found in widely used libraries (see the sources).

# %%
lesson.title("Accumulate")
lesson.predict("3 targets with a mean gradient of 1, 1 target with 5: what is the gradient of all four?")
lesson.holds("accumulated", functions.accumulate([[np.ones(1)], [np.full(1, 5.0)]], [3, 1]), [[2.0]])

# %% [markdown]
# ## Warm up, by hand
#
# AdamW's first steps rest on very few gradients, so the learning rate starts low. During a **warm-up** of W
# steps it climbs to its peak. Then it falls along half a cosine, to its floor in step M:
#
# $$lr(s) = \begin{cases} \text{peak}\cdot (s+1)/W & s < W\\
# \text{floor} + (\text{peak}-\text{floor})\cdot\frac12\big(1 + \cos(\pi\frac{s-W}{M-W})\big) & W \le s < M\\
# \text{floor} & s \ge M \end{cases} \tag{15.3}$$
#
# With W = 2, M = 6, peak 1 and floor 0, the steps 0, 1, 2, ... have the rates 0.5, 1, 1, 0.854, 0.5, 0.146,
# 0, 0.

# %%
lesson.title("Warm up")
rates = [functions.learning_rate(step, peak=1.0, floor=0.0, warmup_steps=2, max_steps=6) for step in range(8)]
lesson.holds("rates", np.round(rates, 3), [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0, 0.0])

# %%
lesson.title("The code under study")
lesson.show(clip.clip)
lesson.show(cross_entropy.forward)  # n_targets: a micro-batch divides by the targets of the whole batch
lesson.show(sg.cosine_with_warmup)

# %% [markdown]
# ## Experiment 1: with and without clipping
#
# A tiny GPT learns the fables by plain gradient descent, at a learning rate that is a little too high. Both
# runs see the same batches.

# %%
lesson.title("With and without clipping")
STEPS = 80 if lesson.fast else 300
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")[:20000]
tokenizer = sg.CharTokenizer.train(text)
ids = np.array(tokenizer.encode(text))
shape = {"vocab_size": tokenizer.vocab_size, "block_size": 32, "n_layer": 2, "n_head": 2, "n_embd": 32}
model = sg.GPT(sg.GPTConfig(**shape, init_std=0.1))


def train(max_norm, lr=1.0):
    """Return the loss and the norm of the gradient at each step."""
    weights, rng = model.init(seed=1, dtype="float64"), np.random.default_rng(1)
    losses, norms = [], []
    for _ in range(STEPS):
        loss, grads = sg.loss_and_grads(model, weights, *data.random_batch(ids, 8, 32, rng))
        (step,), norm = functions.clip([grads.flat], max_norm)
        weights.flat -= lr * step
        losses.append(loss)
        norms.append(norm)
    return np.array(losses), np.array(norms)


lesson.predict("the norm is below 1 in most steps. Does it matter much whether we clip at 1?")
with_clip, norms_with = train(1.0)
without, norms_without = train(1e9)
print(f"without: largest norm {norms_without.max():.1f}, loss at the end {without[-20:].mean():.3f}")
print(f"clipped: largest norm {norms_with.max():.1f}, loss at the end {with_clip[-20:].mean():.3f}; "
      f"{(norms_with > 1).mean():.0%} of the steps were clipped")  # fmt: skip
assert with_clip[-20:].mean() < without[-20:].mean() and np.median(norms_with) < 1

# %% [markdown]
# A few long steps early on are enough: they throw the weights to a place from which the run takes a long time
# to come back.
#
# ## Experiment 2: micro-batches of unequal length
#
# Six texts of different lengths form three micro-batches of two. We train on all six at once, then with
# (15.2), then with the mean of means, and measure how far the weights end up from those of the large batch.

# %%
lesson.title("One large batch, in micro-batches")
LENGTHS = np.array([32, 30, 3, 5, 20, 1])
lesson.predict(
    "how far apart are the weights after the last step: not at all, by rounding, by a little, by a lot?"
)


def ragged_batch(rng):
    """Return tokens and targets; targets after the end of a text are ignored."""
    tokens, targets = data.random_batch(ids, 6, 32, rng)
    return tokens, np.where(np.arange(32) < LENGTHS[:, None], targets, IGNORE_INDEX)


def whole(weights, tokens, targets):
    """Return the gradient of all six texts at once."""
    _, grads = sg.loss_and_grads(model, weights, tokens, targets)
    return grads.flat


def in_parts(weights, tokens, targets, equal=False):
    """Return the gradient accumulated over three micro-batches; `equal` takes the mean of means."""
    parts, counts = [], []
    for rows in (slice(0, 2), slice(2, 4), slice(4, 6)):
        _, grads = sg.loss_and_grads(model, weights, tokens[rows], targets[rows])
        parts.append([grads.flat])
        counts.append(1 if equal else int((targets[rows] != IGNORE_INDEX).sum()))
    (total,) = functions.accumulate(parts, counts)
    return total


runs = {
    "whole": whole,
    "weighted by targets, (15.2)": in_parts,
    "mean of means": lambda *batch: in_parts(*batch, equal=True),
}
all_weights = {name: model.init(seed=2, dtype="float64") for name in runs}
distances = {name: [] for name in runs}
rng = np.random.default_rng(3)
for step in range(STEPS // 3):
    batch = ragged_batch(rng)
    rate = functions.learning_rate(step, peak=0.3, floor=0.03, warmup_steps=5, max_steps=STEPS // 3)
    for name, gradient in runs.items():
        (clipped,), _ = functions.clip([gradient(all_weights[name], *batch)], 1.0)
        all_weights[name].flat -= rate * clipped
        apart = np.linalg.norm(all_weights[name].flat - all_weights["whole"].flat)
        distances[name].append(float(apart / np.linalg.norm(all_weights["whole"].flat)))
for name, values in distances.items():
    print(f"{name:<28} {values[-1]:.1e} from the large batch")
assert distances["weighted by targets, (15.2)"][-1] < 1e-9
assert distances["mean of means"][-1] > 1e-3

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")


def smooth(losses):
    """Return the running mean over ten steps."""
    return np.convolve(losses, np.ones(10) / 10, mode="valid")


left.plot(smooth(without), color="tab:red", label="without")
left.plot(smooth(with_clip), color="tab:green", label="clipped at norm 1")
left.set(
    xlabel="step",
    ylabel="loss in nats, mean over 10 steps",
    title="The same batches, with and without clipping",
)
left.legend()
for name, hue in (("mean of means", "tab:red"), ("weighted by targets, (15.2)", "tab:green")):
    right.semilogy(np.maximum(distances[name], 1e-17), color=hue, label=name)
right.set(
    xlabel="step", ylabel="distance of the weights, relative", title="Micro-batches against one large batch"
)
right.legend()
lesson.save(
    figure,
    "Left: at a learning rate that is a little too high, clipping leads to a lower loss. Right: micro-batches weighted by "
    "their number of targets follow the large batch up to rounding; the mean of means drifts away from it.",
)

# %% [markdown]
# ## Your turn
#
# Write `clip`, `accumulate`, `gradient_of_step` and `learning_rate` in
# `lessons/exercises/15_steady_training.py`, then run `python -m lessons check 15`.
# `python lessons/15_steady_training.py --mine` trains with your functions.
#
# Then go hunting: `python -m lessons hunt 15` plants one or two mistakes in a copy of the answer, and you
# name them.
#
# ## What this lesson leaves out
#
# - Which limit to clip at. A limit of 1 is a habit: it lies above the norm of an ordinary step and below that
#   of a dangerous one.
# - Why a cosine does better than a straight line, if it does.
# - How to find the best batch size.
# - Clipping is no cure for a learning rate that is far too high.
#
# **Sources.** Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks" (2013),
# algorithm 1, for clipping. Loshchilov, Hutter, "SGDR" (2017), equation 5, for the cosine. The mean of means:
# pull request 34191 of huggingface/transformers (2024).
