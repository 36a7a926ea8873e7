"""What is done to the scores of the next token before one is picked: one idea in each module.

Each has `process(scores, ...)`, a function of the scores (V,) in float64 that returns new ones and leaves its
argument alone; -inf means impossible. `generation/pipeline.py` says in which order they come.
"""
