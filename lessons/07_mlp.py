# %% [markdown]
# # Lesson 07 · A small language model: the chain rule as a list, read backward
#
# **Question.** A bigram table (lesson 01) sees one character. We want a model that sees eight. What are its
# gradients, how large should its weights be at the start, and how can we tell at the very first step that
# something is wrong?

# %%
import math
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

from scratchgpt.nn.model import GPT
from scratchgpt.ops import cross_entropy, embedding, linear
from scratchgpt.tokenizers.char import CharTokenizer
from scratchgpt.training.step import TrainingStep

lesson = Lesson(7)

# %% [markdown]
# ## By hand: a list of steps
#
# Take f(x) = (3x + 1)² at x = 1. It is a list of three steps: multiply by 3, add 1, square. Forward goes down
# the list, and each step saves what its slope will need:
#
# | step | value after it | its slope |
# |---|---|---|
# | times 3 | 3 | 3 |
# | plus 1 | 4 | 1 |
# | square | 16 | 2·4 = 8 |
#
# Backward goes through the *same list from its end*, carrying a single number. It starts with 1, the derivative
# of the result with respect to itself, and every step multiplies by its slope: first 1·8 = 8, then 8·1 = 8, and
# then 8·3 = 24. That is the whole chain rule.

# %%
lesson.title("By hand")
value, saved = 1.0, []
for step in (lambda x: (3 * x, 3), lambda x: (x + 1, 1), lambda x: (x * x, 2 * x)):  # value, slope
    value, slope = step(value)
    saved.append(slope)
gradient = 1.0
while saved:
    gradient *= saved.pop()
lesson.holds("f(1)", value, 16.0)
lesson.holds("f'(1)", gradient, 24.0)

# %% [markdown]
# `saved` is a stack: the last step puts its slope on top and is the first to take it off. The engine does this
# with whole layers, and its training step says what happens to the gradients afterwards:

# %%
lesson.title("The code under study")
lesson.show(GPT.backward)
lesson.show(TrainingStep._step)

# %% [markdown]
# ## The model
#
# The context is K characters. Each is looked up (lesson 05) as a row of C numbers, and the rows, side by side,
# are the K·C inputs. With n counting the N contexts of a batch:
#
# $$x = [\,wte_{s_1}, \dots, wte_{s_K}\,] \qquad u = x\,w_1 + b_1 \qquad h = \tanh u \tag{7.1}$$
# $$z = h\,w_2 + b_2 \qquad p = \mathrm{softmax}(z)
# \qquad L = -\frac1N \sum_n \log p_{n,\,target(n)} \tag{7.2}$$
#
# tanh bends (lesson 06), and it keeps every number between -1 and 1. Its slope is $1 - \tanh^2 u = 1 - h^2$.
# (7.3)
#
# ## Its gradients, from the end of the list
#
# 1. The loss: the **prediction**, minus the **target**, which it should have been, lesson 02:
#    $$dz = \underbrace{\tfrac1N\,p}_{\text{prediction}} \; \underbrace{-\;\tfrac1N\,\mathrm{onehot}(target)}_{\text{target}} \tag{7.4}$$
# 2. A linear map, lesson 04: $dw_2 = h^{\mathsf T} dz$, $db_2 = \sum_n dz_n$, $dh = dz\,w_2^{\mathsf T}$. (7.5)
# 3. tanh: $du = dh \circ (1 - h^2)$. (7.6)
# 4. Another linear map: $dw_1 = x^{\mathsf T} du$, $db_1 = \sum_n du_n$, $dx = du\,w_1^{\mathsf T}$. (7.7)
# 5. The lookup, lesson 05: cut each row of dx into K pieces of C numbers, and add each piece to the row of dwte
#    that was looked up there. (7.8)
#
# Then every weight takes a small step *against* its gradient: $w \leftarrow w - lr \cdot dw$. (7.9)
#
# Here is the model, built from the engine's ops.

# %%


def hidden_steps(params, context):
    """Return the logits and the stack of what the steps saved."""
    rows, table = embedding.forward(context, params["wte"], np.zeros((K, C)))  # positions add nothing
    u, first = linear.forward(rows.reshape(len(context), -1), params["w1"], params["b1"])
    h = np.tanh(u)
    logits, second = linear.forward(h, params["w2"], params["b2"])
    return logits, [table, first, h, second]


def forward(params, context, targets):
    """Return (loss, saved)."""
    logits, saved = hidden_steps(params, context)
    loss, top = cross_entropy.forward(logits, targets)
    return loss, [*saved, top]


def backward(params, saved, grads):
    """Pop what the steps saved off the stack, last first; add the gradients to grads."""
    (d,) = cross_entropy.backward(saved.pop())
    d, dw2, db2 = linear.backward(saved.pop(), d)
    h = saved.pop()
    d = d * (1.0 - h * h)
    d, dw1, db1 = linear.backward(saved.pop(), d)
    table = saved.pop()
    dwte, _ = embedding.backward(table, d.reshape(*table.tokens.shape, -1))
    for name, gradient in {"wte": dwte, "w1": dw1, "b1": db1, "w2": dw2, "b2": db2}.items():
        grads[name] += gradient


def train_step(params, grads, context, targets, lr):
    """Take one step of gradient descent, and return the loss before it."""
    for gradient in grads.values():
        gradient[...] = 0.0
    loss, saved = forward(params, context, targets)
    backward(params, saved, grads)
    for name in params:
        params[name] -= lr * grads[name]
    return loss


functions = lesson.functions(SimpleNamespace(forward=forward, backward=backward, train_step=train_step))

# %% [markdown]
# ## How large should the weights be at the start?
#
# $u_j = \sum_i x_i w_{ij}$ is a sum of I = K·C products. If x and w are independent with mean 0, variances
# multiply in a product and add in a sum:
#
# $$\mathrm{Var}(u) = I\,\mathrm{Var}(x)\,\mathrm{Var}(w) \tag{7.10}$$
#
# With Var(x) = 1, a standard deviation of $g/\sqrt I$ for w gives u a standard deviation of g. At g = 1, tanh
# works where it bends. At g = 5 most units sit near -1 or 1, where the slope 1 - h² is almost 0, and (7.6) lets
# little gradient through.
#
# And the last layer? At the start the model knows nothing, and it should say so: if all logits are nearly equal,
# every p is nearly 1/V, and
#
# $$L_0 = -\log \tfrac1V = \ln V \tag{7.11}$$
#
# So w₂ starts *small*. A first loss far above ln V means that the model is sure of things it cannot know.

# %%
lesson.title("The start")
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")
tokenizer = CharTokenizer.train(text)
tokens = tokenizer.encode(text)
V, K, C, F = tokenizer.vocab_size, 8, 16, 64 if lesson.fast else 128
n_train = int(0.9 * len(tokens))
train_tokens, held_out = tokens[:n_train], tokens[n_train:]


def windows(tokens, starts):
    """Return the contexts (N, K) that begin at `starts`, and the token after each (N,)."""
    places = starts[:, None] + np.arange(K)
    return tokens[places], tokens[starts + K]


def init(gain, last, seed=7):
    """Return weights: w1 with standard deviation gain / √(K·C), w2 with standard deviation last."""
    rng = np.random.default_rng(seed)
    return {
        "wte": rng.standard_normal((V, C)),
        "w1": gain / math.sqrt(K * C) * rng.standard_normal((K * C, F)),
        "b1": np.zeros(F),
        "w2": last * rng.standard_normal((F, V)),
        "b2": np.zeros(V),
    }


context, targets = windows(train_tokens, np.random.default_rng(1).integers(0, n_train - K, 1000))
lesson.predict(f"V = {V}. What is the first loss of a model that knows nothing?")
first_losses, activations = {}, {}
for gain, last in ((0.2, 0.01), (1.0, 0.01), (5.0, 0.01), (5.0, 1.0)):
    params = init(gain, last)
    first_losses[gain, last] = loss = float(functions.forward(params, context, targets)[0])
    u = params["wte"][context].reshape(len(context), -1) @ params["w1"]
    activations[gain] = h = np.tanh(u)
    print(
        f"g = {gain}, std of w2 {last:<4}: std of u {u.std():.2f}, "
        f"mean slope 1 - h² = {(1 - h * h).mean():.2f}, first loss {loss:.3f}"
    )
    assert abs(u.std() / gain - 1.0) < 0.3
saturated = (np.abs(activations[5.0]) > 0.97).mean()
lesson.holds("share of hidden units beyond ±0.97 at g = 5", saturated, 0.67, tolerance=0.04)
lesson.holds("ln V", math.log(V), 4.143, tolerance=5e-4)
lesson.holds("first loss with a small w2", first_losses[1.0, 0.01], math.log(V), tolerance=0.02)
assert first_losses[5.0, 1.0] > 2 * math.log(V)

# %% [markdown]
# ## Experiment: can it beat the table?
#
# The loss to beat is that of the bigram table (lesson 01): count the pairs of the training text, add 1 to every
# count, and measure the loss on held-out text.

# %%
lesson.title("Training")
counts = np.ones((V, V))
np.add.at(counts, (train_tokens[:-1], train_tokens[1:]), 1)
table = counts / counts.sum(axis=1, keepdims=True)
bigram = float(-np.log(table[held_out[:-1], held_out[1:]]).mean())
all_held_out = windows(held_out, np.arange(0, len(held_out) - K, 7 if lesson.fast else 1))
STEPS, BATCH, LR = (700, 128, 0.5) if lesson.fast else (3000, 256, 0.5)
lesson.predict(
    "which start is ahead at the end of training: g = 1 with a small w2, or g = 5 with a large one?"
)


def train(gain, last):
    """Return the weights, the loss in each step, and the final loss on held-out text."""
    rng, params = np.random.default_rng(2), init(gain, last)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    losses = []
    for step in range(STEPS):
        lr = LR if step < 0.7 * STEPS else 0.1 * LR  # large steps first, then small ones to settle
        batch = windows(train_tokens, rng.integers(0, len(train_tokens) - K, BATCH))
        losses.append(float(functions.train_step(params, grads, *batch, lr)))
    return params, np.array(losses), float(functions.forward(params, *all_held_out)[0])


runs, started = {}, time.perf_counter()
for name, (gain, last) in {"g = 1, w2 small": (1.0, 0.01), "g = 5, w2 large": (5.0, 1.0)}.items():
    runs[name] = params, losses, final = train(gain, last)
    print(f"{name}: loss {losses[0]:.3f} first, {losses[-50:].mean():.3f} at the end, {final:.3f} held out")
print(f"bigram table: {bigram:.3f} held out; {STEPS} steps twice took {time.perf_counter() - started:.0f} s")
good, bad = runs["g = 1, w2 small"], runs["g = 5, w2 large"]
recent = np.convolve(bad[1], np.full(20, 1 / 20), mode="valid")  # means over 20 steps
above = int(np.argmax(recent < math.log(V)))
print(f"the bad start needs {above} steps to get down to ln V, the loss of a uniform guess")
assert above > 20
lesson.holds("first loss minus ln V", good[1][0] - math.log(V), 0.0, tolerance=0.03)
assert good[2] < bigram and good[2] < bad[2]

# %% [markdown]
# What it writes, each character drawn from p:

# %%
lesson.title("A sample")
rng, ids = np.random.default_rng(3), list(tokenizer.encode("The fox "))
for _ in range(150):
    logits, _ = hidden_steps(good[0], np.array([ids[-K:]]))
    p = np.exp(logits[0] - logits[0].max())
    ids.append(int(rng.choice(V, p=p / p.sum())))
print(tokenizer.decode(ids))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
width = max(1, STEPS // 60)
for name, (_, losses, _) in runs.items():
    smooth = losses[: len(losses) // width * width].reshape(-1, width).mean(axis=1)
    left.plot(width * (np.arange(len(smooth)) + 0.5), smooth, label=name)
left.axhline(math.log(V), color="k", linestyle=":", label="ln V")
left.axhline(bigram, color="k", linestyle="--", label="bigram table, held out")
left.set(xlabel="step", ylabel="loss, nats per character", title="Two starts", ylim=(1.5, 6.0))
left.legend()
for gain, h in activations.items():
    right.hist(h.ravel(), bins=60, range=(-1, 1), histtype="step", density=True, label=f"g = {gain:g}")
right.set(xlabel="h = tanh u at the start", ylabel="density", title="The scale of w1 and tanh", yscale="log")
right.legend()
lesson.save(
    figure,
    "Left: training loss from two starts, with ln V and the loss of the bigram table. "
    "Right: the hidden units at the start for three scales of w1; at g = 5 they pile up at -1 and 1.",
)

# %% [markdown]
# The bad start spends its first steps (their number is printed above) unlearning what it was wrongly sure of. It
# does not catch up with the good start in this run.
#
# ## Your turn
#
# Write `forward`, `backward` and `train_step` in `lessons/exercises/07_mlp.py`, then run
# `python -m lessons check 7`. `backward` *adds* to what is in `grads`, as the engine's layers do; `train_step`
# zeroes it first. `python lessons/07_mlp.py --mine` trains with your functions.
#
# Then go hunting: `python -m lessons hunt 7` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - With two layers, a good start is enough. With thirty, activations drift in training, and something must hold
#   them: lesson 08.
# - Each of the K positions has its own part of w₁, so nothing learned at one position helps at another, and K
#   is fixed. Attention, lesson 09, removes both limits.
# - Why one learning rate is too small for one weight and too large for another: lesson 14.
#
# **Sources.** Bengio, Ducharme, Vincent, Jauvin, "A Neural Probabilistic Language Model" (2003), the model.
# Glorot and Bengio, "Understanding the Difficulty of Training Deep Feedforward Neural Networks" (2010), and
# LeCun, Bottou, Orr, Müller, "Efficient BackProp" (1998), section 4.6, the variance at the start. Rumelhart,
# Hinton, Williams, "Learning Representations by Back-propagating Errors" (1986), the list read backward.
