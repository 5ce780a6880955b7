"""Photographs -> faces -> answers: who is on it, are these two the same, which of these are one person.

No gallery is kept here: everything is looked at anew. For one that is kept, see `marginface.search`.
"""

from marginface.recognition.aligned import AlignedFaces, Missed, detect_and_align
from marginface.recognition.defaults import open_detector, open_model

__all__ = ["AlignedFaces", "Missed", "detect_and_align", "open_detector", "open_model"]
