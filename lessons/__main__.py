"""`python -m lessons`: where you are in the course, and its commands (check, hint, hunt, train, ...)."""

import sys

from lessons.kit.stepper import main

if __name__ == "__main__":
    sys.exit(main())
