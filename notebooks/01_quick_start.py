# %% [markdown]
# # Quick start: a GPT in a minute
#
# Train a small GPT on the fables that ship with scratchgpt, watch its loss, and generate text. Every call below is part of
# the library, and underneath there is only NumPy: `sg.loss_and_grads` runs the layers forward and then, in the opposite
# order, backward, with the formulas in `scratchgpt/ops/`.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.corpora import open_corpus

# %% [markdown]
# ## From text to tokens
#
# A corpus is read in pieces, because it may be larger than memory; this one fits. The tokenizer assigns an id to each
# distinct character. The last tenth of the text is held out for validation: the model never trains on it.

# %%
text = "".join(piece.text for piece in open_corpus("fables").pieces())
tokenizer = sg.CharTokenizer.train(text)
tokens = tokenizer.encode(text)
train, held_out = data.split(tokens, val_fraction=0.1, block_size=64)

print(f"{len(text):,} characters, {tokenizer.vocab_size} of them distinct")
print(f"{len(train):,} tokens to train on, {len(held_out):,} held out")
print(repr(text[:20]), "is", tokens[:20].tolist())

# %% [markdown]
# ## Model and parameters
#
# `model` is the structure: which layer follows which. It holds no numbers. `params` holds all the weights, in one flat
# array with a named view for each of them.

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
# A batch is twelve windows of 64 characters. The targets are the same windows shifted by one: at each position the model
# predicts the next character. Before training its loss is near ln V, the loss of a uniform guess among all V characters.

# %%
rng = np.random.default_rng(1337)
x, y = data.random_batch(train, 12, config.block_size, rng)
loss, grads = sg.loss_and_grads(model, params, x, y)
print(f"loss {loss:.3f} nats per character; ln {tokenizer.vocab_size} = {np.log(tokenizer.vocab_size):.3f}")

# %% [markdown]
# Is that gradient correct? Change one weight slightly in both directions and compare the change of the loss. (In float64,
# so that rounding does not hide the answer. `python -m scratchgpt.gradcheck` does this for every gradient.)

# %%
exact = params.map(lambda flat: flat.astype(np.float64))
_, grads = sg.loss_and_grads(model, exact, x, y)
weight, slope = exact["h.1.mlp.c_proj.weight"], grads["h.1.mlp.c_proj.weight"][3, 5]
weight[3, 5] += 1e-5
above = sg.loss(model, exact, x, y)
weight[3, 5] -= 2e-5
below = sg.loss(model, exact, x, y)
print(f"backward {slope:+.10f}, finite difference {(above - below) / 2e-5:+.10f}")

# %% [markdown]
# ## Train
#
# The training loop: draw a batch, compute loss and gradient, clip, take an AdamW step. The learning rate warms up for a
# tenth of the steps and then decays along half a cosine.

# %%
STEPS = 500
optimizer = sg.AdamW(params, betas=(0.9, 0.99))
losses, val_losses = [], {}
started = time.perf_counter()
for step in range(STEPS + 1):
    if step % (STEPS // 5) == 0:
        x, y = data.random_batch(held_out, 64, config.block_size, np.random.default_rng(0))
        val_losses[step] = sg.loss(model, params, x, y)
        print(
            f"step {step:4}  validation loss {val_losses[step]:.3f}  {time.perf_counter() - started:5.1f} s"
        )
    if step < STEPS:
        x, y = data.random_batch(train, 12, config.block_size, rng)
        loss, grads = sg.loss_and_grads(model, params, x, y)
        sg.clip_grad_norm(grads, max_norm=1.0)
        optimizer.step(
            grads,
            lr=sg.cosine_with_warmup(step, peak=4e-3, floor=2e-4, warmup_steps=STEPS // 10, max_steps=STEPS),
        )
        losses.append(loss)

# %%
counts = np.bincount(train, minlength=tokenizer.vocab_size)
frequencies = counts[counts > 0] / len(train)
unigram = -(frequencies * np.log(frequencies)).sum()

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.plot(losses, color="0.75", linewidth=0.8, label="training batches")
axes.plot(list(val_losses), list(val_losses.values()), "o-", label="validation")
axes.axhline(np.log(tokenizer.vocab_size), color="tab:red", linestyle=":", label="uniform guess")
axes.axhline(unigram, color="tab:green", linestyle=":", label="character frequencies only")
axes.set(xlabel="step", ylabel="loss in nats per character", ylim=(0, None))
axes.legend()
plt.show()
print(f"character frequencies only: {unigram:.3f} nats; the trained model: {val_losses[STEPS]:.3f} nats")

# %% [markdown]
# ## Generate
#
# Model, parameters and tokenizer together are a language model. The temperature divides the logits: near 0 the most
# likely character always wins, at 1 the model's own probabilities decide, and above 1 unlikely characters become more likely.

# %%
lm = sg.LanguageModel(model, params, tokenizer, sg.get_backend())
for temperature in (0.2, 0.8, 1.5):
    print(f"--- temperature {temperature}")
    print("The fox" + lm.generate("The fox", max_new_tokens=160, temperature=temperature, seed=1))

# %% [markdown]
# ## Where to go from here
#
# - `python train.py` (or `scratchgpt train`) does the same, with checkpoints, resuming, a live display and a report.
# - The second notebook looks inside a model, the third trains on your own text.
# - In `python -m lessons` you write each of these layers yourself, forward and backward.
