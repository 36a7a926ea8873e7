"""The metrics of a run, beyond what the tests of whole runs cover."""

from pathlib import Path

import pytest

from scratchgpt.errors import InputError
from scratchgpt.runs.record import RunRecord


def test_a_sample_that_cannot_be_generated_does_not_stop_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = RunRecord(tmp_path)

    def write() -> str:
        raise InputError("no token is left")

    assert record.log_sample(3, write) == ""
    assert record.entries == []
    assert "no sample at step 3: no token is left" in caplog.text
    assert record.log_sample(4, lambda: "words") == "words"
    assert record.entries == [{"step": 4, "sample": "words"}]


def test_what_was_recorded_after_the_checkpoint_is_dropped_when_a_run_resumes(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    for step in (1, 2, 3):
        record.log(step=step, loss=1.0 / step)
    record.log_evaluation(2, "validation", 2.5, accuracy=0.5)
    record.write(3)
    again = RunRecord(tmp_path)
    again.read(2)
    assert [entry["step"] for entry in again.entries] == [1, 2, 2]
    assert again.saved_step == 2
    assert (again.n_evaluations_after(1), again.n_evaluations_after(2)) == (1, 0)
