"""GPT-2 in PyTorch's own functions, differentiated by autograd: what scratchgpt is compared with."""

import torch
import torch.nn.functional as F

from scratchgpt.config import GPTConfig
from scratchgpt.nn.params import ParamVector


def tensors_of(params: ParamVector, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Copy our parameters into PyTorch leaf tensors of the same names."""
    return {name: torch.tensor(view, device=device, requires_grad=True) for name, view in params.items()}


def forward(
    config: GPTConfig, p: dict[str, torch.Tensor], tokens: torch.Tensor, dropout: float = 0.0
) -> torch.Tensor:
    """Return the logits (B, T, V) of tokens (B, T); `dropout` is applied where our model applies it."""
    B, T = tokens.shape
    C, H = config.n_embd, config.n_head

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = p[f"{name}.weight"], p.get(f"{name}.bias")
        return F.layer_norm(x, (C,), weight, bias, config.layer_norm_epsilon)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, p[f"{name}.weight"].T, p.get(f"{name}.bias"))

    def drop(x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, dropout) if dropout else x

    x = drop(F.embedding(tokens, p["wte.weight"]) + p["wpe.weight"][:T])
    for i in range(config.n_layer):
        q, k, v = linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn").split(C, dim=2)
        q, k, v = (part.view(B, T, H, C // H).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        x = x + drop(linear(y.transpose(1, 2).reshape(B, T, C), f"h.{i}.attn.c_proj"))
        h = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        h = F.gelu(h, approximate="tanh" if config.activation == "gelu_tanh" else "none")
        x = x + drop(linear(h, f"h.{i}.mlp.c_proj"))
    head = p["wte.weight"] if config.tie_weights else p["lm_head.weight"]
    return F.linear(norm(x, "ln_f"), head)


def loss(
    config: GPTConfig,
    p: dict[str, torch.Tensor],
    tokens: torch.Tensor,
    targets: torch.Tensor,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Return the mean cross-entropy; targets of -100 are ignored."""
    logits = forward(config, p, tokens, dropout)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
