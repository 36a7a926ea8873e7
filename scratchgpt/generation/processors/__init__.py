"""Logits processors: one module per way of changing the scores before a token is sampled.

Each has `process(scores, ...)`, which takes scores (V,) in float64 and returns new ones without changing its
argument; -inf forbids a token. `generation/pipeline.py` defines their order.
"""
