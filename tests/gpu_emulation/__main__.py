"""Run a program as if there were a GPU, many times slower than one.

python -m tests.gpu_emulation train.py --backend cupy --config configs/memorise-780.yaml
"""

import runpy
import sys
from pathlib import Path

from tests.gpu_emulation import gplusplus, install


def main() -> None:
    """Put the fake CuPy in place and run the program with the rest of the command line."""
    if len(sys.argv) < 2:
        sys.exit("python -m tests.gpu_emulation: expected a program, such as train.py, and its arguments")
    if missing := gplusplus.missing():
        sys.exit(f"python -m tests.gpu_emulation: {missing}")
    program = Path(sys.argv[1])
    if not program.is_file():
        sys.exit(
            f"python -m tests.gpu_emulation: there is no file {program}; expected a program, such as train.py"
        )
    install.install()
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(program.resolve().parent))
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
