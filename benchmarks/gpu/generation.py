"""How fast text is written on a GPU, one text and sixteen at once, beside Hugging Face transformers."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import scratchgpt as sg
from benchmarks.gpu.job import Job, LeftOut, load_torch, one_line, say
from scratchgpt.generation import generate_batch

NEW_TOKENS = 256
BATCHES = (1, 16)
PRECISIONS = ("bf16", "float32")
TURNS = 3
Write = Callable[[int], int]  # writes so many tokens of each text; returns how many that were


def measure(job: Job, row_name: str) -> None:
    """Let the engines take turns in writing."""
    config = job.row(row_name).config
    params = sg.GPT(config).init()
    n_new = config.block_size // 2 if job.emulated else NEW_TOKENS
    left_out: dict[str, str] = {}
    writers: dict[str, Write] = {}
    for precision in PRECISIONS:
        backend = sg.get_backend("cupy", precision=precision)
        for batch in BATCHES:
            writers[f"scratchgpt {precision}, {batch}"] = _ours(config, params, backend, batch)
    for precision in PRECISIONS:
        try:
            model = _their_model(config, params, precision, job.emulated)
        except Exception as error:  # whatever two libraries think of this machine
            left_out[f"transformers {precision}"] = one_line(error)
            continue
        for batch in BATCHES:
            writers[f"transformers {precision}, {batch}"] = _theirs(model, batch)
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    last: dict[str, float] = {}
    for turn in range(1 if job.emulated else TURNS):
        for name, write in list(writers.items()):
            if last.get(name, 0.0) > job.seconds_left:
                continue
            try:
                if turn == 0:
                    write(4 if job.emulated else 16)  # not timed: it compiles and reserves
                started = time.perf_counter()
                n_written = write(n_new)
                last[name] = time.perf_counter() - started
            except Exception as error:
                left_out[name] = one_line(error)
                say(f"left out: {name}: {left_out[name]}")
                del writers[name]
                continue
            if n_written != n_new:
                raise RuntimeError(f"{name} wrote {n_written} tokens, not {n_new}")
            seconds[name].append(last[name])
            job.save(
                {
                    "new_tokens": n_new,
                    "seconds": {engine: each for engine, each in seconds.items() if each},
                    "left_out": left_out,
                }
            )


def _ours(config: sg.GPTConfig, params: sg.ParamVector, backend: sg.Backend, batch: int) -> Write:
    bound = sg.BoundModel(sg.GPT(config), params.map(backend.to_device), backend)
    prompts = [[token % config.vocab_size] for token in range(batch)]

    def write(n_new: int) -> int:
        return sum(1 for _ in generate_batch(bound, prompts, max_new_tokens=n_new, temperature=1.0, seed=1))

    return write


def _their_model(config: sg.GPTConfig, params: sg.ParamVector, precision: str, emulated: bool) -> Any:
    """Return transformers' model with our weights on the GPU.

    Raises:
        LeftOut: PyTorch, transformers or a GPU for them is missing.
    """
    torch = load_torch()
    if not emulated and not torch.cuda.is_available():
        raise LeftOut(f"PyTorch {torch.__version__} finds no GPU")
    model = load_torch("benchmarks.hf_gpt2").with_weights_of(config, params)
    return model.to("cpu" if emulated else "cuda", torch.bfloat16 if precision == "bf16" else torch.float32)


def _theirs(model: Any, batch: int) -> Write:
    """Return transformers' own loop with a KV cache, which samples as ours does: among all tokens."""
    torch, transformers = load_torch(), load_torch("transformers")
    prompts = torch.arange(batch, device=model.device)[:, None] % model.config.vocab_size
    mask = torch.ones_like(prompts)

    def write(n_new: int) -> int:
        settings = transformers.GenerationConfig(
            max_new_tokens=n_new, do_sample=True, temperature=1.0, top_k=0, use_cache=True, pad_token_id=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            texts = model.generate(prompts, attention_mask=mask, generation_config=settings)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        return int(texts.shape[1]) - 1

    return write


TASKS = {"6x6x384": lambda job: measure(job, "6x6x384"), "124M": lambda job: measure(job, "124M")}
