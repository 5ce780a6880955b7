"""Public sets of photographs -> records: `marginface data fetch NAME`.

Published weights -> model folders, `marginface models pull NAME`, are in `model_registry` and `pull`; they need torch.
"""

from marginface.fetching.fetch import FetchedSet, fetch
from marginface.fetching.registry import PublicFile, PublicSet, public_set, public_sets

__all__ = ["FetchedSet", "PublicFile", "PublicSet", "fetch", "public_set", "public_sets"]
