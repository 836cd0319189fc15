"""Training killed at every point where it writes and at random moments: nothing is ever lost."""
