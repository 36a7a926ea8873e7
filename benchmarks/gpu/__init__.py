"""Checks and measurements of the cupy backend on a GPU: `python -m benchmarks.gpu`.

The program (`__main__`) runs tasks (`tasks`) one after the other within a time budget (`runner`), each in a
process that is given a `job`. What the tasks do is in `checks`, `speed`, `recipe`, `profile` and
`generation`; `report` writes docs/gpu.md from their figures.
"""
