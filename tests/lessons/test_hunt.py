"""The bug hunt: mistakes are planted, guesses are judged, and an unsolved hunt stays."""

from pathlib import Path

import pytest

from lessons.kit import files, stepper
from tests.lessons.learner import answer


def test_a_hunt_can_be_won(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stepper.main(["hunt", "8"])
    shown = capsys.readouterr().out
    assert "LN-MEAN" in shown
    planted = (desk / "08_layernorm_hunt.py").read_text(encoding="utf-8")
    assert "A wrong answer" in planted
    known = files.faults(8)
    guesses = [[a.id] for a in known] + [[a.id, b.id] for a in known for b in known if a.id < b.id]
    codes = []
    for guess in guesses:
        try:
            codes.append(stepper.main(["hunt", "8", *guess]))
        except ValueError:  # two mistakes on one line cannot both be there
            codes.append(1)
    assert codes.count(0) == 1
    shown = capsys.readouterr().out
    winner = guesses[codes.index(0)]
    for id_ in winner:
        assert f"  {id_}: {next(fault.why for fault in known if fault.id == id_)}\n" in shown
    assert "Another hunt: python -m lessons hunt 8" in shown
    assert stepper.main(["hunt", "8", "LN-NOTHING"]) == 2
    assert "LN-NOTHING is not a known mistake of lesson 8; expected one of LN-MEAN" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        stepper.main(["hunt"])
    assert "required: number\n" in capsys.readouterr().err


def test_a_hunt_is_not_replaced_before_it_is_won(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stepper.main(["hunt", "8"])
    planted = (desk / "08_layernorm_hunt.py").read_text(encoding="utf-8")
    capsys.readouterr()
    stepper.main(["hunt", "8"])
    assert "not solved this hunt yet" in capsys.readouterr().out
    assert (desk / "08_layernorm_hunt.py").read_text(encoding="utf-8") == planted
    fault = next(fault for fault in files.faults(8) if fault.id == "LN-MEAN")
    one = files.patched(answer(8), fault).replace("The answer to", "A wrong answer to")
    (desk / "08_layernorm_hunt.py").write_text(one, encoding="utf-8")
    assert stepper.main(["hunt", "8", "LN-SUM"]) == 1
    assert "That is not it. Run" in capsys.readouterr().out
    assert stepper.main(["hunt", "8", "LN-MEAN"]) == 0
    (desk / "08_layernorm_hunt.py").write_text(one + "# mine\n", encoding="utf-8")
    assert stepper.main(["hunt", "8"]) == 0  # comments may be added, code may not
    (desk / "08_layernorm_hunt.py").write_text(one + "mine = 1\n", encoding="utf-8")
    assert stepper.main(["hunt", "8"]) == 2
    assert "the code in lessons/exercises/08_layernorm_hunt.py is no longer what was planted" in (
        capsys.readouterr().err
    )
    assert stepper.main(["hunt", "8", "--new"]) == 0
