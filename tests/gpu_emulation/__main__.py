"""Run a program as if there were a GPU, many times slower than one.

python -m tests.gpu_emulation train.py --backend cupy --config configs/memorise-780.yaml
python -m tests.gpu_emulation -m scratchgpt.gradcheck --backend cupy
"""

import runpy
import sys
from pathlib import Path

from tests.gpu_emulation import gplusplus, install


def main() -> None:
    """Put the fake CuPy in place; run the program, or with -m the module, with the other arguments."""
    what = sys.argv[1:]
    if not what or what[0] in ("-h", "--help") or what == ["-m"]:
        _refuse("expected a program such as train.py, or -m and a module, and its arguments")
    if missing := gplusplus.missing():
        _refuse(missing)
    install.install()
    if what[0] == "-m":
        sys.argv = what[1:]
        runpy.run_module(what[1], run_name="__main__", alter_sys=True)
        return
    program = Path(what[0])
    if not program.is_file():
        _refuse(f"there is no file {program}; expected a program such as train.py, or -m and a module")
    sys.argv = what
    sys.path.insert(0, str(program.resolve().parent))
    runpy.run_path(str(program), run_name="__main__")


def _refuse(message: str) -> None:
    print(f"python -m tests.gpu_emulation: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
