"""How well a face can be recognised from an image: scores of single images, higher is better.

No score is a probability and none compares with another; `metrics.discard` says what each is worth on pairs.
"""

from marginface.quality.assess import Assessment, assess, usable_methods
from marginface.quality.method import QualityBatch, QualityMethod
from marginface.quality.methods import QUALITY
from marginface.quality.ofiq import read_ofiq, write_ofiq

__all__ = [
    "QUALITY",
    "Assessment",
    "QualityBatch",
    "QualityMethod",
    "assess",
    "read_ofiq",
    "usable_methods",
    "write_ofiq",
]
