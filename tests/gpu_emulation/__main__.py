"""Run a program on the emulated GPU, many times slower than on a real one.

python -m tests.gpu_emulation train.py --backend cupy --config configs/memorise-780.yaml
python -m tests.gpu_emulation -m scratchgpt.gradcheck --backend cupy
"""

import runpy
import sys
from pathlib import Path

from tests.gpu_emulation import gplusplus, install


def main() -> None:
    """Install the fake CuPy, then run the program, or with -m the module, with the remaining arguments."""
    what = sys.argv[1:]
    if not what or what[0] in ("-h", "--help") or what == ["-m"]:
        _exit("pass a program such as train.py, or -m and a module, followed by its arguments")
    if missing := gplusplus.missing():
        _exit(missing)
    install.install()
    if what[0] == "-m":
        sys.argv = what[1:]
        runpy.run_module(what[1], run_name="__main__", alter_sys=True)
        return
    program = Path(what[0])
    if not program.is_file():
        _exit(f"{program} does not exist; pass a program such as train.py, or -m and a module")
    sys.argv = what
    sys.path.insert(0, str(program.resolve().parent))
    runpy.run_path(str(program), run_name="__main__")


def _exit(message: str) -> None:
    print(f"python -m tests.gpu_emulation: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
