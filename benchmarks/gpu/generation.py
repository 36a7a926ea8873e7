"""How fast text is generated on a GPU, one text and sixteen at once, compared with transformers."""

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import scratchgpt as sg
from benchmarks.gpu.job import Job, load_torch, one_line, say, torch_device
from scratchgpt.generation import generate_batch

NEW_TOKENS = 256
BATCH_SIZES = (1, 16)
PRECISIONS = ("bf16", "float32")
TURNS = 3
Generate = Callable[[int], int]  # generates n tokens of each text; returns how many it generated


def measure(job: Job, row_name: str) -> None:
    """Let the engines take turns in generating texts."""
    config = job.row(row_name).config
    n_new = config.block_size // 2 if job.emulated else NEW_TOKENS
    engines, left_out = _engines(job, config)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    last: dict[str, float] = {}
    for turn in range(1 if job.emulated else TURNS):
        for name, generate in list(engines.items()):
            if last.get(name, 0.0) > job.seconds_left:
                continue
            try:
                if turn == 0:
                    generate(4 if job.emulated else 16)  # not timed: it compiles and fills the pools
                started = time.perf_counter()
                n_generated = generate(n_new)
                last[name] = time.perf_counter() - started
            except Exception as error:
                left_out[name] = one_line(error)
                say(f"left out: {name}: {left_out[name]}")
                del engines[name]
                continue
            if n_generated != n_new:
                raise RuntimeError(f"{name} generated {n_generated} tokens; expected {n_new}")
            seconds[name].append(last[name])
            job.save(
                {
                    "new_tokens": n_new,
                    "seconds": {engine: each for engine, each in seconds.items() if each},
                    "left_out": left_out,
                }
            )


def _engines(job: Job, config: sg.GPTConfig) -> tuple[dict[str, Generate], dict[str, str]]:
    """Return the engines by name, and why others are left out."""
    params = sg.GPT(config).init()
    engines: dict[str, Generate] = {}
    left_out: dict[str, str] = {}
    for precision in PRECISIONS:
        backend = sg.get_backend("cupy", precision=precision)
        for batch in BATCH_SIZES:
            engines[f"scratchgpt {precision}, {batch}"] = _ours(config, params, backend, batch)
    for precision in PRECISIONS:
        try:
            model = _their_model(config, params, precision, job.emulated)
        except Exception as error:  # two libraries have many ways not to work on a machine
            left_out[f"transformers {precision}"] = one_line(error)
            continue
        for batch in BATCH_SIZES:
            engines[f"transformers {precision}, {batch}"] = _theirs(model, batch)
    return engines, left_out


def _ours(config: sg.GPTConfig, params: sg.ParamVector, backend: sg.Backend, batch: int) -> Generate:
    bound = sg.BoundModel(sg.GPT(config), params.map(backend.to_device), backend)
    prompts = [[token % config.vocab_size] for token in range(batch)]

    def generate(n_new: int) -> int:
        return sum(1 for _ in generate_batch(bound, prompts, max_new_tokens=n_new, temperature=1.0, seed=1))

    return generate


def _their_model(config: sg.GPTConfig, params: sg.ParamVector, precision: str, emulated: bool) -> Any:
    """Return transformers' model with our weights on the GPU.

    Raises:
        LeftOut: PyTorch or transformers is not installed, or PyTorch finds no GPU.
    """
    device, torch = torch_device(emulated), load_torch()
    model = load_torch("benchmarks.hf_gpt2").with_weights_of(config, params)
    return model.to(device, torch.bfloat16 if precision == "bf16" else torch.float32)


def _theirs(model: Any, batch: int) -> Generate:
    """Return transformers' own loop with a KV cache, which samples from all tokens, as ours does."""
    torch, transformers = load_torch(), load_torch("transformers")
    prompts = torch.arange(batch, device=model.device)[:, None] % model.config.vocab_size
    mask = torch.ones_like(prompts)

    def generate(n_new: int) -> int:
        settings = transformers.GenerationConfig(
            max_new_tokens=n_new, do_sample=True, temperature=1.0, top_k=0, use_cache=True, pad_token_id=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            texts = model.generate(prompts, attention_mask=mask, generation_config=settings)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        return int(texts.shape[1]) - 1

    return generate


TASKS = {row: partial(measure, row_name=row) for row in ("6x6x384", "124M")}
