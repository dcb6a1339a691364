"""Two models compared: their answers, the verdicts of judges and people on them, and what these come to."""
