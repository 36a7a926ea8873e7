"""Train a GPT on a text and generate a sample.

python train.py                                        # the built-in fables, about a minute
python train.py --data my.txt --out runs/mine          # your own text: a file, a folder or a built-in set
python train.py --resume runs/mine --training.max_steps 3000
python train.py --init-from runs/mine --data other.txt # fine-tune: start from the weights of a run
python train.py --help                                 # every setting

This is the command `scratchgpt train`; the training loop is scratchgpt/training/loop.py.
"""

import sys

from scratchgpt.cli.commands.train import main
from scratchgpt.cli.errors import exit_on_error

if __name__ == "__main__":
    with exit_on_error("train.py"):
        sys.exit(main(sys.argv[1:], prog="train.py"))
