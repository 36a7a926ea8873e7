"""Generate text with a trained model.

python sample.py                                       # from the newest run in runs/
python sample.py runs/fables --prompt "The fox" --temperature 0.7 --top-p 0.9 --stop "\\n\\n"
python sample.py runs/fables --prompt "The fox" --show-probabilities --alternatives 3
python sample.py runs/fables --prompts prompts.txt --num-samples 2 --json > texts.jsonl
python sample.py --help                                # every option

This is the command `scratchgpt sample`; scratchgpt/generation/ generates the tokens.
"""

import sys

from scratchgpt.cli.commands.sample import main
from scratchgpt.cli.errors import exit_on_error

if __name__ == "__main__":
    with exit_on_error("sample.py"):
        sys.exit(main(sys.argv[1:], prog="sample.py"))
