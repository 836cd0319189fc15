"""Seeded fuzzing: `python -m tests.fuzz` says how."""
