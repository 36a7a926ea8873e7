"""How long a training step takes on a GPU: scratchgpt's engines and PyTorch's take turns."""

import time
from functools import partial
from typing import Any, NamedTuple

from benchmarks.engine_process import EngineFailed, Server
from benchmarks.engines import encode
from benchmarks.gpu.engines import GROUPS
from benchmarks.gpu.job import ROWS, Job, LeftOut, say
from benchmarks.models import Row
from benchmarks.timing import PAUSE

TURNS = 8
TURN_SECONDS = 0.3  # of a turn, about
MIN_TURN_STEPS, MAX_TURN_STEPS = 4, 2000
MIN_BATCH_SIZE = 4  # down to which the batch is halved where a larger one does not fit
STARTUP_SHARE = 0.7  # of the task's time; engines that have not taken a step by then are left out


class Sizes(NamedTuple):
    """The sizes of a row that decide how much arithmetic a token takes."""

    parameters: int
    position_embeddings: int
    n_layer: int
    block_size: int
    n_embd: int

    @classmethod
    def of(cls, row: Row) -> "Sizes":
        """Return the sizes of a row."""
        c = row.config
        return cls(row.n_params, c.block_size * c.n_embd, c.n_layer, c.block_size, c.n_embd)

    def flops_per_token(self) -> float:
        """Return 6 N + 12 L T C, with N the parameters without position embeddings, full attention."""
        n = self.parameters - self.position_embeddings
        return 6.0 * n + 12.0 * self.n_layer * self.block_size * self.n_embd


class EngineProcess(Server):
    """A process that holds one engine; see `benchmarks.gpu.engine_server`. It starts at once."""

    def __init__(self, engine: str, row: Row, emulated: bool) -> None:
        arguments = [engine, *encode(row), *["--emulated"] * emulated]
        super().__init__("benchmarks.gpu.engine_server", arguments)

    def wait(self, seconds: float) -> float:
        """Wait for the first steps, at most `seconds`, and return the seconds of one step.

        Raises:
            EngineFailed: they could not be taken, or not in time.
        """
        return float(self.answer(seconds)["seconds"])

    def turn(self, steps: int, seconds: float) -> dict[str, Any]:
        """Take `steps` steps after one that is not timed; return seconds per step, loss and peak memory.

        Raises:
            EngineFailed: they could not be taken, or not within `seconds`.
        """
        self.send(steps)
        answer: dict[str, Any] = self.answer(seconds)
        return answer


class Started(NamedTuple):
    """The engines that have taken a step, and those that could not."""

    processes: dict[str, EngineProcess]
    seconds: dict[str, float]  # of a step
    left_out: dict[str, str]  # engine and reason
    out_of_memory: bool  # whether that is the reason of one of them

    def close(self) -> None:
        """End the processes at once."""
        for process in self.processes.values():
            process.close(at_once=True)


def measure(job: Job, row_name: str, group: str) -> None:
    """Measure the engines of a group on a model, with the largest batch that fits all of them.

    Raises:
        LeftOut: no engine took a step.
    """
    row = job.row(row_name)
    while True:
        started = _start(job, row, group)
        if not started.out_of_memory or row.batch_size // 2 < MIN_BATCH_SIZE:
            break
        say(f"a batch of {row.batch_size} does not fit every engine: {started.left_out}")
        started.close()
        row = row._replace(batch_size=row.batch_size // 2)
    try:
        if not started.processes:
            reasons = [f"{engine}: {reason}" for engine, reason in started.left_out.items()]
            raise LeftOut("; ".join(reasons))
        _take_turns(job, row, started)
    finally:
        started.close()


def _start(job: Job, row: Row, group: str) -> Started:
    names = [name for name in GROUPS[group] if not (job.emulated and name.startswith("torch.compile"))]
    processes = {name: EngineProcess(name, row, job.emulated) for name in names}
    seconds, left_out, out_of_memory = {}, {}, False
    until = time.monotonic() + STARTUP_SHARE * job.seconds_left
    for name in names:
        try:
            seconds[name] = processes[name].wait(until - time.monotonic())
        except EngineFailed as error:
            left_out[name] = str(error)
            out_of_memory = out_of_memory or error.out_of_memory
            processes.pop(name).close(at_once=True)
            say(f"left out: {name}: {error}")
    return Started(processes, seconds, left_out, out_of_memory)


def _take_turns(job: Job, row: Row, started: Started) -> None:
    """Let the engines take turns until there are enough or the time is up; save after each round."""
    processes, left_out = started.processes, started.left_out
    steps = {name: _steps_per_turn(started.seconds[name], job.emulated) for name in processes}
    turns: dict[str, list[float]] = {name: [] for name in processes}
    peaks: dict[str, dict[str, int]] = {}
    losses: dict[str, float] = {}
    round_seconds = 0.0
    for _ in range(2 if job.emulated else TURNS):
        if round_seconds > job.seconds_left:
            break
        began = time.monotonic()
        for name, process in list(processes.items()):
            time.sleep(0.0 if job.emulated else PAUSE)
            try:
                answer = process.turn(steps[name], job.seconds_left)
            except EngineFailed as error:
                left_out[name] = str(error)
                processes.pop(name).close(at_once=True)
                continue
            turns[name].append(answer["seconds"])
            peaks[name], losses[name] = answer["peak"], answer["loss"]
        round_seconds = time.monotonic() - began
        job.save(
            {
                "batch_size": row.batch_size,
                "block_size": row.config.block_size,
                "tokens": row.n_tokens,
                "parameters": row.n_params,
                "flops_per_token": Sizes.of(row).flops_per_token(),
                "seconds": {name: each for name, each in turns.items() if each},  # per step, one per turn
                "steps": steps,
                "peak": peaks,
                "loss": losses,
                "left_out": left_out,
            }
        )


def _steps_per_turn(seconds: float, emulated: bool) -> int:
    """Return how many steps of `seconds` make a turn."""
    if emulated:
        return 1
    return max(MIN_TURN_STEPS, min(MAX_TURN_STEPS, round(TURN_SECONDS / seconds)))


TASKS = {f"{row}.{group}": partial(measure, row_name=row, group=group) for group in GROUPS for row in ROWS}
