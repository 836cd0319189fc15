"""Seeded fuzzing with hostile files and options: `python -m tests.fuzz KIND`."""
