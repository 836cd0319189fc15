"""Hostile files: each ends in a model that works or in one line of error, quickly and in little
memory, with nothing executed and nothing written. `python -m tests.fuzz checkpoints` makes them.
"""
