"""How long a training step takes on a GPU: our engines and PyTorch's take turns."""

import time
from typing import Any, NamedTuple

from benchmarks.gpu.engines import GROUPS, EngineFailed, EngineProcess
from benchmarks.gpu.job import ROWS, Job, LeftOut, say
from benchmarks.models import Row
from benchmarks.timing import PAUSE

TURNS = 8
TURN_SECONDS = 0.3  # that a turn is meant to take
STEPS = (4, 2000)  # of a turn, at least and at most
SMALLEST_BATCH = 4  # that is tried where a larger one does not fit
STARTING = 0.7  # of the time, at most: engines that have not taken a step then are left out


class Sizes(NamedTuple):
    """What of a row decides how much arithmetic a token is."""

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
        """Return 6 N + 12 L T C: N all parameters but the position embeddings, attention counted in full."""
        n = self.parameters - self.position_embeddings
        return 6.0 * n + 12.0 * self.n_layer * self.block_size * self.n_embd


def measure(job: Job, row_name: str, group: str) -> None:
    """Measure the engines of a group on a model, with the largest batch that all of them have room for.

    Raises:
        LeftOut: no engine took a step.
    """
    row = job.row(row_name)
    while True:
        processes, seconds, left_out, is_full = _start(job, row, group)
        if not is_full or row.batch_size // 2 < SMALLEST_BATCH:
            break
        say(f"a batch of {row.batch_size} does not fit all engines: {left_out}")
        _close(processes)
        row = row._replace(batch_size=row.batch_size // 2)
    try:
        if not processes:
            raise LeftOut("; ".join(f"{engine}: {reason}" for engine, reason in left_out.items()))
        _take_turns(job, row, processes, seconds, left_out)
    finally:
        _close(processes)


def _start(
    job: Job, row: Row, group: str
) -> tuple[dict[str, EngineProcess], dict[str, float], dict[str, str], bool]:
    """Start the engines; return them, the seconds of a step, who is left out, and whether for memory."""
    names = [name for name in GROUPS[group] if not (job.emulated and name.startswith("torch.compile"))]
    processes = {name: EngineProcess(name, row, job.emulated) for name in names}
    seconds, left_out, is_full = {}, {}, False
    until = time.monotonic() + STARTING * job.seconds_left
    for name in names:
        try:
            seconds[name] = processes[name].wait(until - time.monotonic())
        except EngineFailed as error:
            left_out[name] = str(error)
            is_full = is_full or error.out_of_memory
            processes.pop(name).close()
            say(f"left out: {name}: {error}")
    return processes, seconds, left_out, is_full


def _take_turns(
    job: Job,
    row: Row,
    processes: dict[str, EngineProcess],
    seconds: dict[str, float],
    left_out: dict[str, str],
) -> None:
    """Let the engines take turns until there are enough or the time is up, and save after each round."""
    steps = {name: _steps(seconds[name], job.emulated) for name in processes}
    turns: dict[str, list[float]] = {name: [] for name in processes}
    peaks: dict[str, dict[str, int]] = {}
    losses: dict[str, float] = {}
    round_seconds = 0.0
    for _ in range(2 if job.emulated else TURNS):
        if round_seconds > job.seconds_left:
            break
        started = time.monotonic()
        for name, process in list(processes.items()):
            time.sleep(0.0 if job.emulated else PAUSE)
            try:
                answer = process.turn(steps[name], job.seconds_left)
            except EngineFailed as error:
                left_out[name] = str(error)
                processes.pop(name).close()
                continue
            turns[name].append(answer["seconds"])
            peaks[name], losses[name] = answer["peak"], answer["loss"]
        round_seconds = time.monotonic() - started
        job.save(
            {
                "batch_size": row.batch_size,
                "block_size": row.config.block_size,
                "tokens": row.n_tokens,
                "parameters": row.n_params,
                "flops_per_token": Sizes.of(row).flops_per_token(),
                "seconds": {
                    name: each for name, each in turns.items() if each
                },  # of a step, one for each turn
                "steps": steps,
                "peak": peaks,
                "loss": losses,
                "left_out": left_out,
            }
        )


def _steps(seconds: float, emulated: bool) -> int:
    """Return how many steps a turn has."""
    return 1 if emulated else max(STEPS[0], min(STEPS[1], round(TURN_SECONDS / seconds)))


def _close(processes: dict[str, EngineProcess]) -> None:
    for process in processes.values():
        process.close()


def task(row_name: str, group: str) -> Any:
    """Return the function of a task."""
    return lambda job: measure(job, row_name, group)


TASKS = {f"{row}.{group}": task(row, group) for group in GROUPS for row in ROWS}
