"""A bank of planted mistakes: one-line patches of the engine's own source.

The ids are those of a catalog of mistakes that learners and libraries have really made; a letter
distinguishes variants. Mistakes in ops and layers give wrong gradients, which the gradient checks must
catch. Mistakes in update rules must be caught by a comparison with the definition, one number at a time.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """Replace `old`, which occurs exactly once in the module's source, with `new`; `mistake` describes it."""

    id: str
    module: str
    old: str
    new: str
    mistake: str


OP_FAULTS = [
    # Cross-entropy and softmax
    Fault("5", "cross_entropy", "(dloss / n_targets)", "dloss", "not divided by the number of targets"),
    Fault("6", "cross_entropy", "(dloss / n_targets)", "(dloss / targets.shape[0])", "divided by B only"),
    Fault("6b", "cross_entropy", "(dloss / n_targets)", "(dloss / targets.size)", "ignored targets counted in the mean"),
    Fault("7", "cross_entropy", "(dloss / n_targets)", "(dloss / n_targets / probs.shape[-1])", "also averaged over V"),
    Fault("9", "cross_entropy", "targets.reshape(-1)] -= 1.0", "targets.reshape(-1)] -= 0.0", "no -1 at the target"),
    Fault("10", "cross_entropy", "dlogits[np.arange(len(dlogits), like=dlogits), targets.reshape(-1)] -= 1.0",
          "dlogits[:, targets.reshape(-1)] -= 1.0", "-1 in every row instead of the target's"),
    Fault("11", "cross_entropy", "valid.reshape(-1, 1) * ", "np.ones_like(valid.reshape(-1, 1)) * ",
          "ignored targets get a gradient"),
    Fault("12", "softmax", "probs * (dprobs - mean)", "probs * dprobs", "sum term of the Jacobian missing"),
    Fault("12b", "softmax", "probs * (dprobs - mean)", "probs * (1.0 - probs) * dprobs", "diagonal of the Jacobian only"),
    Fault("12c", "softmax", "probs * (dprobs - mean)", "probs * (dprobs + mean)", "wrong sign of the sum term"),
    Fault("13", "softmax", "(probs * dprobs).sum(axis=-1,", "(probs * dprobs).sum(axis=-2,", "summed along the wrong axis"),
    # Linear and unembedding
    Fault("14", "linear", "drows.sum(axis=0)", "drows.mean(axis=0)", "bias gradient averaged"),
    Fault("14b", "linear", "drows.sum(axis=0)", "dy[0].sum(axis=0)", "bias gradient not summed over the batch"),
    Fault("15", "linear", "rows.T @ drows", "(drows.T @ rows)", "weight gradient transposed"),
    Fault("16", "linear", "rows.T @ drows", "x.reshape(-1, x.shape[-1])[: dy.shape[0]].T @ drows[: dy.shape[0]]",
          "only the first B rows summed: wrong for rank 3, right for rank 2"),
    Fault("15b", "unembedding", "(drows @ weight)", "(-drows @ weight)", "wrong sign of dx"),
    Fault("15c", "unembedding", "drows.T @ rows", "(rows.T @ drows)", "weight gradient transposed"),
    Fault("15d", "linear_cross_entropy", "(saved.cross_entropy, dloss)", "(saved.cross_entropy)", "upstream gradient ignored"),
    # Embedding
    Fault("19", "embedding", "np.add.at(dwte, tokens, dx)", "dwte[tokens] = dx", "of repeated tokens only the last counts"),
    Fault("20", "embedding", "np.add.at(dwte, tokens, dx)", "dwte[tokens] += dx", "buffered += loses repeated tokens"),
    Fault("21", "embedding", "dx.sum(axis=0)", "dx[0]", "position gradient not summed over the batch"),
    Fault("21b", "embedding", "dx.sum(axis=0)", "dx.sum(axis=(0, 1))", "position gradient also summed over time"),
    Fault("21c", "embedding", "dx.sum(axis=0)", "dx.mean(axis=0)", "position gradient averaged over the batch"),
    Fault("22", "embedding", "np.add.at(dwte, tokens, dx)", "np.add.at(dwte, tokens - 1, dx)", "token ids off by one"),
    # Heads
    Fault("26", "merge_heads", "return (dy.reshape(B, T, H, C // H).transpose(0, 2, 1, 3),)",
          "return (dy.reshape(B, H, T, C // H),)", "reshape without transpose"),
    Fault("27", "split_heads", "for part in dqkv]", "for part in (dqkv[1], dqkv[0], dqkv[2])]", "q and k swapped"),
    Fault("27b", "split_heads", "for part in dqkv], axis=2)", "for part in dqkv], axis=3)",
          "heads before q, k, v"),
    # LayerNorm
    Fault("28", "layernorm", "(dx_hat - mean - x_hat * projection)",
          "(dx_hat - x_hat * projection)", "mean term missing"),
    Fault("29", "layernorm", "(dx_hat - mean - x_hat * projection)",
          "(dx_hat - mean)", "variance term missing"),
    Fault("30", "layernorm", "(dx_hat - mean - x_hat * projection)",
          "dx_hat", "mean and variance treated as constants"),
    Fault("31", "layernorm", "(dx_hat * x_hat).mean(", "(dx_hat * x_hat).sum(", "sum instead of mean"),
    Fault("31b", "layernorm", "mean = dx_hat.mean(",
          "mean = dx_hat.sum(", "sum instead of mean in the mean term"),
    Fault("32", "layernorm", "dx_hat = dy * weight", "dx_hat = dy", "gamma missing"),
    Fault("33", "layernorm", "(dy * x_hat).sum(axis=rows)", "(dy * x_hat / rstd).sum(axis=rows)",
          "gamma's gradient from x - mean instead of x_hat"),
    Fault("33b", "layernorm", "dy.sum(axis=rows)", "dy.mean(axis=rows)", "beta's gradient averaged"),
    Fault("34", "layernorm", "projection = (dx_hat * x_hat).mean(axis=-1, keepdims=True)",
          "projection = (dx_hat * x_hat).sum(axis=-1, keepdims=True) / (x_hat.shape[-1] - 1)", "divided by C - 1"),
    Fault("35", "layernorm", "* projection) * rstd",
          "* projection) * rstd * rstd", "1/variance instead of 1/std"),
    # GELU
    Fault("40", "gelu_tanh", " + 0.5 * x * (1.0 - tanh * tanh) * du_dx", "", "derivative of the gate missing"),
    Fault("40b", "gelu_exact", "cdf + x * density", "cdf", "x phi(x) missing"),
    Fault("41", "gelu_tanh", "1.0 + 3.0 * CUBIC", "1.0 + CUBIC", "factor 3 missing"),
    Fault("42", "gelu_exact", "(cdf + x * density)",
          "(0.5 * (1.0 + (t := np.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))) + 0.5 * x * (1.0 - t * t)"
          " * 0.7978845608028654 * (1.0 + 0.134145 * x * x))", "derivative of the tanh form with the exact forward"),
    Fault("42b", "gelu_exact", "np.exp(-0.5 * x * x)", "np.exp(-x * x)", "normal density of the wrong width"),
    # Attention
    Fault("44", "attention", "dscores = dscores * (1.0 / math.sqrt(q.shape[3]))", "dscores = dscores * 1.0",
          "1/sqrt(D) missing in backward"),
    Fault("44b", "attention", "dscores = dscores * (1.0 / math.sqrt(q.shape[3]))", "dscores = dscores / q.shape[3]",
          "1/sqrt(D) applied twice"),
    Fault("45", "attention", "math.sqrt(q.shape[3])", "math.sqrt(q.shape[1] * q.shape[3])", "1/sqrt(C) instead of 1/sqrt(D)"),
    Fault("51", "attention", "probs_after_dropout.swapaxes(2, 3) @ dy", "np.broadcast_to(probs_after_dropout.sum(2)[..., None] * 0.2, v.shape) * 1.0",
          "dv does not depend on dy"),
    Fault("51b", "attention", "dscores.swapaxes(2, 3) @ q", "dscores.swapaxes(2, 3) @ dy", "dk from dy instead of q"),
    Fault("52", "attention", "(dscores,) = softmax.backward(saved_softmax, dprobs)", "dscores = dprobs",
          "softmax's Jacobian missing"),
    Fault("52b", "attention", "dropout.backward(saved_dropout, dy @ v.swapaxes(2, 3))", "(dy @ v.swapaxes(2, 3),)",
          "dropout's mask missing in the gradient of the probabilities"),
    Fault("52c", "attention", "probs_after_dropout.swapaxes(2, 3) @ dy", "saved_softmax.probs.swapaxes(2, 3) @ dy",
          "dv from the probabilities before dropout"),
    # Dropout
    Fault("55", "dropout", "else dy * mask", "else dy * (mask > 0) / 0.3", "scaled by 1/p"),
    Fault("56", "dropout", "else dy * mask", "else dy * (mask > 0)", "scale missing in backward"),
    Fault("56b", "dropout", "dy if mask is None else dy * mask", "dy", "mask missing in backward"),
    Fault("57", "dropout", "else dy * mask", "else dy * mask[::-1]",
          "a different mask in backward"),
]  # fmt: skip

MODEL_FAULTS = [
    # Sharing
    Fault("23", "nn.accumulation", "+ use * n_in_group", "", "a tied weight's second gradient overwrites its first"),
    Fault("23d", "nn.accumulation", "        total += gradient", "        total[...] = gradient",
          "a micro-batch overwrites the previous one's gradient"),
    Fault("23b", "nn.layers.unembedding", "ctx.grads.add(self.weight, dweight)", "dweight",
          "the head's weight gets no gradient"),
    Fault("23c", "nn.layers.unembedding", "ctx.grads.add(self.weight, dweight)", "ctx.grads.add(self.weight, 2.0 * dweight)",
          "the head's weight gets its gradient twice"),
    Fault("21d", "nn.layers.embedding", "ctx.grads.add(self.wpe, dwpe)", "dwpe", "positions get no gradient"),
    # Residual stream
    Fault("36", "nn.layers.block", "        dx = dx + dh\n        return dx", "        dx = dh\n        return dx",
          "skip gradient around the attention branch missing"),
    Fault("36b", "nn.layers.block", "        dx = dx + dh\n        dh = self.attn", "        dx = dh\n        dh = self.attn",
          "skip gradient around the MLP branch missing"),
    Fault("37", "nn.layers.block", "        dx = dx + dh\n        return dx", "        return dx",
          "gradient of the attention branch missing"),
    Fault("37b", "nn.layers.block", "dh = self.attn.backward(ctx, saved_attn, dx)",
          "dh = self.attn.backward(ctx, saved_attn, dx - dh)", "attention branch does not get the MLP's gradient"),
    Fault("38", "nn.layers.block", "dh = self.ln_2.backward(ctx, saved_ln_2, dh)",
          "self.ln_2.backward(ctx, saved_ln_2, dh)", "LayerNorm's backward skipped in the block"),
    Fault("38b", "nn.layers.block", "dh = self.ln_1.backward(ctx, saved_ln_1, dh)",
          "dh = self.ln_1.backward(ctx, saved_ln_1, dx)", "LayerNorm's backward gets the residual stream's gradient"),
    Fault("39", "nn.model", "dx = self.ln_f.backward(ctx, saved.pop(), dx)", "self.ln_f.backward(ctx, saved.pop(), dx)",
          "final LayerNorm's backward skipped"),
    Fault("39b", "nn.model", "for block in reversed(self.blocks):", "for block in self.blocks:", "blocks not reversed"),
    # Branches
    Fault("24", "nn.layers.attention", "dq, dk, dv = ctx", "dk, dq, dv = ctx", "q and k gradients swapped"),
    Fault("25", "nn.layers.mlp", "(dh,) = gelu.backward(saved_gelu, dh)", "gelu.backward(saved_gelu, dh)",
          "GELU's backward skipped"),
    Fault("57b", "nn.layers.mlp", "dh = self.dropout.backward(ctx, saved_dropout, dh)", "dh = dh * 1.0",
          "residual dropout skipped in backward"),
    Fault("57c", "nn.layers.embedding", "dx = self.dropout.backward(ctx, saved_dropout, dx)", "dx = dx * 1.0",
          "embedding dropout skipped in backward"),
    Fault("14c", "nn.layers.linear", "ctx.grads.add(self.bias, dbias)", "dbias", "biases get no gradient"),
    Fault("33c", "nn.layers.layernorm", "ctx.grads.add(self.weight, dweight)", "ctx.grads.add(self.weight, dbias if self.bias else dweight * 0.0)",
          "gamma gets beta's gradient"),
]  # fmt: skip

ADAMW_FAULTS = [
    Fault("61", "optim.adamw", "        self.t += 1\n", "", "t starts at 0"),
    Fault("62", "optim.adamw", "self.t += 1", "self.t += 2", "t counts in twos"),
    Fault("64", "ops.updates.adamw", "1.0 - betas[0] ** t", "1.0 - betas[0]", "bias correction of step 1 in every step"),
    Fault("65", "ops.updates.adamw", "(lr / correction1) * m /", "lr * np.divide(m, correction1, out=m) /",
          "bias correction written back into m"),
    Fault("66", "ops.updates.adamw", "(lr / correction1) * m", "lr * m", "no bias correction of m"),
    Fault("66b", "ops.updates.adamw", "math.sqrt(1.0 - betas[1] ** t)", "1.0", "no bias correction of v"),
    Fault("66c", "ops.updates.adamw", "math.sqrt(1.0 - betas[1] ** t)", "(1.0 - betas[1] ** t)", "bias correction outside the square root"),
    Fault("67", "ops.updates.adamw", "g = g.astype(m.dtype, copy=False)", "g = g.astype(m.dtype, copy=False) + 0.3 * w",
          "weight decay added to the gradient"),
    Fault("68", "ops.updates.adamw", "1.0 - lr * step.weight_decay", "1.0 - step.weight_decay", "weight decay not multiplied by lr"),
    Fault("69", "ops.updates.adamw", "(np.sqrt(v) / correction2 + step.eps)", "(np.sqrt(v + step.eps) / correction2)",
          "eps inside the square root"),
    Fault("69b", "ops.updates.adamw", "(1.0 - beta2) * (g * g)", "(1.0 - beta2) * g", "g instead of its square"),
    Fault("69c", "ops.updates.adamw", "beta1, beta2 = step.betas", "beta2, beta1 = step.betas", "betas swapped"),
    Fault("70", "optim.adamw", "self.v = self.m.zeros_like()", "self.v = self.m", "one buffer for both moments"),
    Fault("66d", "backends.numpy.adamw", "lr * correction2 / correction1", "lr / correction1", "no bias correction of v"),
    Fault("66e", "backends.numpy.adamw", "lr * correction2 / correction1", "lr * correction2", "no bias correction of m"),
    Fault("69d", "backends.numpy.adamw", "correction2 * step.eps", "step.eps", "eps divided by the bias correction"),
    Fault("69e", "backends.numpy.adamw", "np.multiply(g, g, out=scratch)", "np.multiply(g, 1.0, out=scratch)",
          "g instead of its square"),
    Fault("70c", "backends.numpy.adamw", "step.n_decaying - first", "len(step.w) - first",
          "weight decay on biases and LayerNorms"),
    Fault("70b", "ops.updates.adamw", "step.n_decaying - first", "len(step.w) - first",
          "weight decay on biases and LayerNorms"),
]  # fmt: skip

LION_FAULTS = [
    Fault("71", "ops.updates.lion", "beta1, beta2 = step.betas", "beta2, beta1 = step.betas", "betas swapped"),
    Fault("71b", "ops.updates.lion", "beta1, beta2 = step.betas", "beta1 = beta2 = step.betas[1]", "one beta for both"),
    Fault("72", "ops.updates.lion", "np.sign(beta1 * m", "(beta1 * m", "no sign"),
    Fault("72b", "ops.updates.lion", "np.sign(beta1 * m + (1.0 - beta1) * g)", "np.sign(g)", "sign of the gradient alone"),
    Fault("72c", "ops.updates.lion", "np.sign(beta1 * m + (1.0 - beta1) * g)",
          "np.where(beta1 * m + (1.0 - beta1) * g < 0.0, -1.0, 1.0)", "a step where the gradient is zero"),
    Fault("73", "ops.updates.lion", "1.0 - lr * step.weight_decay", "1.0 - step.weight_decay", "weight decay not multiplied by lr"),
    Fault("73b", "ops.updates.lion", "w[: step.n_decaying]", "w[:]", "weight decay on biases and LayerNorms"),
    Fault("74", "ops.updates.lion", "m += (1.0 - beta2) * g", "m += g", "sum instead of mean"),
]  # fmt: skip

MUON_FAULTS = [
    Fault("75", "ops.updates.muon", "orthogonalise(mu * m + (1.0 - mu) * g, product)", "orthogonalise(m, product)", "no Nesterov"),
    Fault("75b", "ops.updates.muon", "m += (1.0 - mu) * g", "m += g", "sum instead of mean, but Nesterov as for a mean"),
    Fault("76", "ops.updates.muon", "b * gram + c * product(gram, gram)", "b * gram + c * gram", "no quintic term"),
    Fault("76b", "ops.updates.muon", "ITERATIONS = 5", "ITERATIONS = 4", "one iteration too few"),
    Fault("76c", "ops.updates.muon", "np.sqrt((x * x).sum())", "(x * x).sum()", "divided by the squared norm"),
    Fault("76d", "ops.updates.muon", "return x.T if is_tall else x", "return x", "a tall matrix not transposed back"),
    Fault("77", "ops.updates.muon", "max(w.shape)", "min(w.shape)", "scaled by the shorter side"),
    Fault("77b", "ops.updates.muon", "math.sqrt(max(w.shape))", "max(w.shape)", "no square root in the scale"),
    Fault("78", "ops.updates.muon", "1.0 - lr * step.weight_decay", "1.0 - step.weight_decay", "weight decay not multiplied by lr"),
    Fault("78b", "ops.updates.muon", "w *= 1.0 - lr * step.weight_decay", "", "no weight decay"),
    Fault("79", "optim.muon", 'if param.name.endswith(".c_attn.weight")', "if False", "q, k and v as one matrix"),
    Fault("79b", "optim.muon", 'len(param.shape) == 2 and param.name.startswith("h.")', "len(param.shape) == 2",
          "embeddings and head orthogonalized, too"),
    Fault("79c", "optim.muon", "v[span_of_v]", "v[: span.stop - span.start]", "second moments of all runs at the beginning of v"),
    Fault("79d", "optim.muon", "self.params.layout.n_decaying - span.start)", "self.params.layout.n_decaying)",
          "weight decay on vectors that follow a matrix"),
    Fault("79e", "optim.muon", "grads, scalars[3]", "grads, scalars[0]", "AdamW's learning rate for hidden matrices"),
]  # fmt: skip

ADAPTIVE_FAULTS = [
    Fault("80", "ops.adaptive_softmax", "dx[rows] = dy", "dx[: len(dy)] = dy", "gradients scattered into the first rows"),
    Fault("80b", "ops.adaptive_softmax", "dx[rows] = dy", "dx[rows] = dy / len(dy)", "averaged over the tail's rows"),
    Fault("81", "ops.adaptive_softmax", "cutoffs[0] + i, head_targets)", "cutoffs[0], head_targets)",
          "one entry of the head shared by all tails"),
    Fault("81b", "ops.adaptive_softmax", "cutoffs[0] + i, head_targets)", "IGNORE_INDEX, head_targets)",
          "p of the tail itself left out, so its entry of the head learns nothing"),
    Fault("82", "ops.adaptive_softmax", "[rows] - first)", "[rows] - cutoffs[0])", "tokens of every tail counted from the first tail's"),
    Fault("82b", "ops.adaptive_softmax", "(targets < last)", "(targets <= last)", "the token at a cutoff in two tails"),
    Fault("82c", "ops.adaptive_softmax", "np.full_like(rows, IGNORE_INDEX)", "np.zeros_like(rows)",
          "a tail without targets learns its first token"),
    Fault("83", "ops.adaptive_softmax", "start=n_in_head)", "start=n_in_head - 1)", "tails' entries of the head off by one"),
    Fault("83b", "ops.adaptive_softmax", "head[..., i : i + 1] + ", "", "log p within the tail only"),
    Fault("84", "nn.layers.adaptive_head", "share.targets, n_targets)", "share.targets, None if (share.targets >= 0).any() else 1)",
          "averaged per cluster"),
    Fault("84b", "nn.layers.adaptive_head", "(ctx, x, head_targets, n_targets)", "(ctx, x, head_targets, int((head_targets >= 0).sum()))",
          "the head's loss divided by the micro-batch's own number of targets"),
    Fault("85", "nn.layers.adaptive_head", "            dx = dx + part\n", "            dx = part\n", "the head's dx missing"),
    Fault("85b", "nn.layers.adaptive_head", "            dx = dx + part\n", "            pass\n", "the tails' dx missing"),
    Fault("85c", "nn.layers.adaptive_head", "dh = self.proj.backward(ctx, saved_proj, dh)", "dh = self.proj.backward(ctx, saved_proj, 2.0 * dh)",
          "gradient of the projection doubled"),
    Fault("85d", "nn.layers.adaptive_head", "zip(reversed(self.tails), reversed(saved_tails), strict=True)",
          "zip(self.tails[-1:], saved_tails[-1:], strict=True)", "backward through the last tail only"),
    Fault("86", "nn.layers.adaptive_head", "            loss = loss + tail_loss\n", "            loss = tail_loss\n",
          "the head's loss missing"),
]  # fmt: skip
