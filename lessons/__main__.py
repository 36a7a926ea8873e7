"""`python -m lessons`: the stepper."""

import sys

from lessons.kit.stepper import main

if __name__ == "__main__":
    sys.exit(main())
