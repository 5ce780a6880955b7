"""A published model trained further on one's own people: split, judge, train, judge again, and say what changed."""
