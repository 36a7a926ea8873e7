"""Train a GPT on a text and let it write.

python train.py                                        # the embedded fables, about a minute
python train.py --data my.txt --out runs/mine          # your own text: a file, a folder or a built-in set
python train.py --resume runs/mine --training.max_steps 3000
python train.py --init-from runs/mine --data other.txt # fine-tune: start from the weights of a run
python train.py --help                                 # every setting

The training loop itself is scratchgpt/training/loop.py.
"""

import sys

from scratchgpt.cli.commands.train import main
from scratchgpt.cli.errors import exit_on_error

if __name__ == "__main__":
    with exit_on_error("train.py"):
        sys.exit(main(sys.argv[1:], prog="train.py"))
