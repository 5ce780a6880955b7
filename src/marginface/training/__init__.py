"""Running it: a recipe's config becomes a run folder."""
