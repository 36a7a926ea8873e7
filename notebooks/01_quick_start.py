# %% [markdown]
# # Quick start: a GPT in a minute
#
# Train a small GPT on the fables that come with scratchgpt, look at its loss, and let it write. Every line below is a call
# of the library, and nothing is hidden behind them but NumPy: `sg.loss_and_grads` runs the layers forwards and then, in
# the opposite order, backwards, by formulas that stand in `scratchgpt/ops/`.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.corpora import open_corpus

# %% [markdown]
# ## Text becomes numbers
#
# A corpus comes in pieces, because others are larger than memory. This one fits. The tokenizer gives each distinct
# character a number, and the last tenth of the text is held out: the model never trains on it.

# %%
text = "".join(piece.text for piece in open_corpus("fables").pieces())
tokenizer = sg.CharTokenizer.train(text)
tokens = tokenizer.encode(text)
train, held_out = data.split(tokens, val_fraction=0.1, block_size=64)

print(f"{len(text):,} characters, {tokenizer.vocab_size} of them distinct")
print(f"{len(train):,} tokens to train on, {len(held_out):,} held out")
print(repr(text[:20]), "is", tokens[:20].tolist())

# %% [markdown]
# ## A structure and its weights
#
# `model` knows how layers follow each other and holds no number. `params` holds all numbers, in one flat array with a
# named view for each weight.

# %%
config = sg.GPTConfig(vocab_size=tokenizer.vocab_size, block_size=64, n_layer=2, n_head=4, n_embd=128)
model = sg.GPT(config)
params = model.init(seed=1337)

print(f"{params.size:,} parameters, among them")
for name in ("wte.weight", "h.0.attn.c_attn.weight", "h.1.mlp.c_fc.bias"):
    print(f"    {name:24} {params[name].shape}")

# %% [markdown]
# ## One step
#
# A batch is twelve windows of 64 characters. The targets are the same windows, one place further: at each place the model
# shall say which character comes next. Before training it knows nothing, so its loss is near ln V, that of a guess among
# all V characters.

# %%
rng = np.random.default_rng(1337)
x, y = data.random_batch(train, 12, config.block_size, rng)
loss, grads = sg.loss_and_grads(model, params, x, y)
print(f"loss {loss:.3f} nats per character; ln {tokenizer.vocab_size} = {np.log(tokenizer.vocab_size):.3f}")

# %% [markdown]
# Is that gradient right? Change one weight a little, both ways, and see how much the loss changes. (In float64, so that
# rounding does not hide the answer. `python -m scratchgpt.gradcheck` does this for every gradient there is.)

# %%
exact = params.map(lambda flat: flat.astype(np.float64))
_, grads = sg.loss_and_grads(model, exact, x, y)
weight, slope = exact["h.1.mlp.c_proj.weight"], grads["h.1.mlp.c_proj.weight"][3, 5]
weight[3, 5] += 1e-5
above = sg.loss(model, exact, x, y)
weight[3, 5] -= 2e-5
below = sg.loss(model, exact, x, y)
print(f"by backward {slope:+.10f}, by differences {(above - below) / 2e-5:+.10f}")

# %% [markdown]
# ## Train
#
# The loop that all of this is about: a batch, a loss, its gradient, one step of AdamW against it. The learning rate rises
# for 50 steps and then falls along half a cosine.

# %%
STEPS = 500
optimizer = sg.AdamW(params, betas=(0.9, 0.99))
losses, held_out_losses = [], {}
started = time.perf_counter()
for step in range(STEPS + 1):
    if step % 100 == 0:
        x, y = data.random_batch(held_out, 64, config.block_size, np.random.default_rng(0))
        held_out_losses[step] = sg.loss(model, params, x, y)
        print(
            f"step {step:4}  held-out loss {held_out_losses[step]:.3f}  {time.perf_counter() - started:5.1f} s"
        )
    if step < STEPS:
        x, y = data.random_batch(train, 12, config.block_size, rng)
        loss, grads = sg.loss_and_grads(model, params, x, y)
        sg.clip_grad_norm(grads, max_norm=1.0)
        optimizer.step(
            grads, lr=sg.cosine_with_warmup(step, peak=4e-3, floor=2e-4, warmup_steps=50, max_steps=STEPS)
        )
        losses.append(loss)

# %%
counts = np.bincount(train, minlength=tokenizer.vocab_size)
frequencies = counts[counts > 0] / len(train)
unigram = -(frequencies * np.log(frequencies)).sum()

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.plot(losses, color="0.75", linewidth=0.8, label="training, each batch")
axes.plot(list(held_out_losses), list(held_out_losses.values()), "o-", label="held out")
axes.axhline(
    np.log(tokenizer.vocab_size), color="tab:red", linestyle=":", label="a guess among all characters"
)
axes.axhline(unigram, color="tab:green", linestyle=":", label="knowing how frequent each character is")
axes.set(xlabel="step", ylabel="loss in nats per character", ylim=(0, None))
axes.legend()
plt.show()
print(
    f"knowing how frequent each character is: {unigram:.3f} nats; the model at the end: {held_out_losses[STEPS]:.3f}"
)

# %% [markdown]
# ## Let it write
#
# Structure, weights and tokenizer together are a language model. The temperature divides the logits: near 0 the likeliest
# character always wins, at 1 the model's own probabilities decide, and above that the unlikely ones get a chance.

# %%
writer = sg.LanguageModel(model, params, tokenizer, sg.get_backend())
for temperature in (0.2, 0.8, 1.5):
    print(f"--- temperature {temperature}")
    print("The fox" + writer.generate("The fox", max_new_tokens=160, temperature=temperature, seed=1))

# %% [markdown]
# ## Where to go from here
#
# - `python train.py` (or `scratchgpt train`) does the same with checkpoints, resuming, a live display and a report.
# - The next notebook looks inside a model, the third trains on your own text.
# - `python -m lessons` has you write each of these layers, forward and backward, yourself.
