"""The rules of the guard: its keys, the policies it folds, what passes, and what was reported."""
