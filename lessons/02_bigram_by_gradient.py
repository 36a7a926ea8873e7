# %% [markdown]
# # Lesson 02 · The same table by gradient descent
#
# **Question.** Lesson 01 found the best table by counting. A neural network cannot count: all it can do is
# follow a gradient. Does that lead to the same table?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

from scratchgpt.ops import cross_entropy
from scratchgpt.tokenizers.char import CharTokenizer

lesson = Lesson(2)
functions = lesson.functions(cross_entropy)

# %% [markdown]
# ## By hand
#
# A gradient may push a number anywhere, but probabilities must stay positive, and each row of them must sum
# to 1. So the model stores other numbers, one for each possible next character, that may take any value: the
# **logits** z. **Softmax** turns logits into probabilities: take exp of each, which makes it positive, and
# divide by the sum.
#
# Under exp, the logits (ln 3, 0) become (3, 1), so p = (3/4, 1/4). If the first character is the one that
# really came next (the **target**), the loss is -ln 3/4 = 0.288. This loss is called **cross-entropy**.
# Averaged over a text, it is the NLL of lesson 01.
#
# The gradient with respect to the logits is p with 1 subtracted at the target: (3/4 - 1, 1/4) = (-1/4, 1/4).
# Gradient descent moves against it: the target's logit rises and the other one falls, and the less likely the
# target was, the further they move.

# %%
lesson.title("By hand: logits (ln 3, 0), target 0")
loss, saved = functions.forward(np.array([[np.log(3.0), 0.0]]), np.array([0]))
lesson.holds("loss", loss, np.log(4 / 3))
lesson.holds("gradient of the logits", functions.backward(saved)[0], [[-0.25, 0.25]])

# %% [markdown]
# ## The gradient, term by term
#
# For one row of logits z with target y:
#
# $$p_v = \frac{e^{z_v}}{\sum_u e^{z_u}} \qquad \text{loss} = -\ln p_y = \ln \sum_u e^{z_u} - z_y \tag{2.1}$$
#
# The logarithm has split the fraction into two parts, and each of them is easy to differentiate with respect
# to $z_v$:
#
# $$\frac{\partial}{\partial z_v} \ln \sum_u e^{z_u} = \frac{e^{z_v}}{\sum_u e^{z_u}} = p_v \tag{2.2}$$
#
# $$\frac{\partial}{\partial z_v} (-z_y) = -1 \text{ if } v = y, \text{ else } 0 \tag{2.3}$$
#
# Written as a row, (2.3) is -onehot(y), where onehot(y) is a row of zeros with a single 1 at y. The loss of a
# batch is the mean over its N rows, so the gradient of each row carries a factor of 1/N:
#
# $$\text{loss} = \frac1N \sum_{i=1}^N \Big( \ln \sum_u e^{z_{iu}} - z_{i y_i} \Big) \tag{2.4}$$
#
# $$\frac{\partial\,\text{loss}}{\partial z_i} = \underbrace{\frac{p_i}{N}}_{\text{prediction}} \; \underbrace{- \frac{\mathrm{onehot}(y_i)}{N}}_{\text{target}} \tag{2.5}$$
#
# The **prediction** term is what the model says, and the **target** term subtracts what is true. The first
# sums to 1/N and the second to -1/N, so each row of the gradient sums to 0: what one logit gains, the others
# lose.
#
# ## The engine's code
#
# The code does two things that (2.5) does not mention. Targets of -100 are ignored. And each row's maximum is
# subtracted before exp, which changes no probability and keeps exp from overflowing: lesson 03 explains why.

# %%
lesson.title("The code under study")
lesson.show(cross_entropy.forward)
lesson.show(cross_entropy.backward)

# %% [markdown]
# ## What the gradient says about the table
#
# Now let the logits be a table W with one row for each character: the logits after a are W[a]. Every pair
# that begins with a uses this row, so the gradients of all these pairs add up. By (2.5), the sum over the
# $n_a$ pairs is
#
# $$\frac{\partial\,\text{loss}}{\partial W_{ab}} = \frac{n_a\, p_{ab} - n_{ab}}{N} \tag{2.6}$$
#
# It is zero exactly when $p_{ab} = n_{ab}/n_a$. That is the table of counts, equation (1.4). The model never
# counts anything, and yet the gradient stops pulling only when the probabilities agree with the counts.

# %%
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")
tokenizer = CharTokenizer.train(text)
V = tokenizer.vocab_size
N, STEPS = (3_000, 150) if lesson.fast else (20_000, 500)
tokens = tokenizer.encode(text[: N + 1])
current, following = tokens[:-1], tokens[1:]
counts = np.zeros((V, V))
np.add.at(counts, (current, following), 1.0)
n_a = counts.sum(axis=1, keepdims=True)


def loss_and_gradient(table):
    """Return the loss of a table of logits, and its gradient with respect to the table."""
    loss, saved = functions.forward(table[current], following)
    (dlogits,) = functions.backward(saved)
    gradient = np.zeros_like(table)
    np.add.at(gradient, current, dlogits)  # the gradients of all uses of a row add up
    return float(loss), gradient


lesson.title("The gradient of a table")
table = np.random.default_rng(2).standard_normal((V, V))
_, gradient = loss_and_gradient(table)
p = np.exp(table) / np.exp(table).sum(axis=1, keepdims=True)
lesson.holds("largest difference from (2.6)", np.abs(gradient - (n_a * p - counts) / N).max(), 0.0)
lesson.holds("largest sum over a row", np.abs(gradient.sum(axis=1)).max(), 0.0)

# %% [markdown]
# ## Experiment: descend
#
# All logits start at 0, so all characters are equally likely. Then repeat: compute the gradient on the whole
# text and take a step against it, W ← W - rate · gradient, where rate is the learning rate.
#
# There is one difficulty. By (2.6), the gradient of a row is proportional to how often its character occurs.
# Rare characters learn slowly, and a larger learning rate for all would make the frequent ones overshoot. So
# we descend twice: once with one rate for all rows, and once with the gradient of each row divided by its
# share $n_a/N$, so that all rows learn at the same speed.

# %%
lesson.title("Descend")
seen = counts > 0
optimum = -(counts[seen] * np.log((counts / np.maximum(n_a, 1))[seen])).sum() / N
share = np.maximum(n_a, 1) / N
lesson.predict("what is the loss before the first step?")
lesson.holds(
    "loss before the first step minus ln 63", loss_and_gradient(np.zeros((V, V)))[0] - np.log(63), 0.0
)
lesson.predict("counting reaches a certain loss. Will the descent come close to it, reach it, or go below?")


def descend(rate):
    """Return the loss at every step and the final table."""
    table, losses = np.zeros((V, V)), []
    for _ in range(STEPS):
        loss, gradient = loss_and_gradient(table)
        losses.append(loss)
        table -= rate * gradient
    return np.array([*losses, loss_and_gradient(table)[0]]), table


one_rate, _ = descend(20.0)
own_rates, table = descend(4.0 / share)
print(f"counting:                         {optimum:.4f}")
for name, losses in (("one rate for all:", one_rate), ("one rate per row:", own_rates)):
    shown = "  ".join(f"{losses[step]:.4f}" for step in (0, 10, STEPS // 2, STEPS))
    print(f"{name:<33} {shown}   (after 0, 10, {STEPS // 2} and {STEPS} steps)")
assert (np.diff(one_rate) < 0).all() and (np.diff(own_rates) < 0).all(), "the loss falls in every step"
assert one_rate[-1] > own_rates[-1] > optimum, "no table is better than counting"
assert own_rates[-1] - optimum < (0.04 if lesson.fast else 0.02)

# %% [markdown]
# The loss comes as close as you have patience for, and never goes below. It never quite arrives, either: a
# pair that does not occur should have probability 0, which takes a logit of minus infinity, and that is a
# long way to go.
#
# ## What the logits have become
#
# At the optimum $p_{ab} = n_{ab}/n_a$, and softmax ignores a constant added to a whole row. So, for the pairs
# that occur,
#
# $$W_{ab} = \ln n_{ab} + c_a \tag{2.7}$$
#
# **The logits are the logarithms of the counts**, up to one constant per row. (Which constant? Every row of
# the gradient sums to 0, and we started at 0, so every row of W still sums to 0. While the logits of the
# pairs that never occur keep falling, $c_a$ must therefore keep rising.)

# %%
lesson.title("Logits and counts")
lesson.holds("largest sum over a row of W", np.abs(table.sum(axis=1)).max(), 0.0, tolerance=1e-8)
log_counts = np.log(np.maximum(counts, 1.0))
constant = (counts * (table - log_counts)).sum(axis=1, keepdims=True) / np.maximum(n_a, 1.0)  # c_a of (2.7)
found = table - constant
often = counts >= 5
off = np.abs(found - log_counts)[often]
print(
    f"pairs that occur at least 5 times: {often.sum()}; W - c_a differs from ln n by {off.mean():.3f} on average"
)
assert off.mean() < 0.1

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
places = np.arange(1, STEPS + 2)
left.semilogx(places, one_rate, label="one rate for all rows")
left.semilogx(places, own_rates, label="one rate per row")
left.axhline(optimum, color="k", linestyle="--", linewidth=1)
left.text(1, optimum - 0.04, f"counting: {optimum:.3f}", va="top")
left.axhline(np.log(V), color="k", linestyle=":", linewidth=1)
left.text(STEPS, np.log(V) + 0.02, "uniform: ln 63", ha="right", va="bottom")
left.set(
    xlabel="step (from 1, log scale)",
    ylabel="loss (nats per character)",
    ylim=(optimum - 0.25, np.log(V) + 0.2),
    title="The descent ends where counting does",
)
left.legend(loc="center right", bbox_to_anchor=(1.0, 0.72))
never = ~seen & (n_a > 0)
right.plot([0, log_counts.max()], [0, log_counts.max()], "k--", linewidth=1, label="W - c = ln n")
right.plot(log_counts[seen], found[seen], ".", markersize=4, alpha=0.5, label="pairs that occur")
jitter = np.random.default_rng(0).uniform(-0.25, 0.25, never.sum())
right.plot(
    -1.0 + jitter, found[never], ".", color="C3", markersize=2, alpha=0.4, label="pairs that never occur"
)
ticks = [1, 10, 100, 1000] if counts.max() > 300 else [1, 10, 100]
right.set(
    xticks=[-1.0, *np.log(ticks)],
    xticklabels=["never", *map(str, ticks)],
    xlabel="how often the pair occurs, n (log scale)",
    ylabel="logit W minus its row's constant c",
    title="The logits are the logarithms of the counts",
)
right.legend(loc="upper left")
lesson.save(
    figure,
    "Left: the loss falls from ln 63 towards that of the counted table, and never below it. Right: each dot is a pair "
    "of characters; its logit is the logarithm of its count plus a constant for its row. Pairs that never occur are on "
    "their way to minus infinity.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/02_bigram_by_gradient.py`, then run
# `python -m lessons check 2`. It tells you whether the prediction or the target is missing or has a wrong
# factor. `python lessons/02_bigram_by_gradient.py --mine` descends with your functions (add `--fast` if they
# loop over rows), and `python -m lessons train 2` trains a GPT with your gradient.
#
# Then go hunting: `python -m lessons hunt 2` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Why do it the hard way, if counting gives the optimum at once? Because the recipe does not need a table.
#   Any function that returns logits can take the place of W, even one that looks back a thousand characters,
#   and (2.5) stays the same.
# - Why the descent could not get stuck: the loss of a *table* of logits is convex (a bowl), and that of a
#   network is not.
# - How to give each parameter a learning rate that suits it, without knowing how often it is used: AdamW,
#   lesson 14.
#
# **Sources.** Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 6.2.2.3. Boyd, Vandenberghe,
# "Convex Optimization" (2004), section 3.1.5, for the convexity of ln Σ exp.
