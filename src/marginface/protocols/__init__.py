"""Embeddings become comparisons: which pairs of images are scored, and their scores. numpy only."""

from marginface.protocols.comparisons import Comparisons, compare
from marginface.protocols.configs import CsvConfig, GeneratedConfig, LfwConfig
from marginface.protocols.generated import generated_pairs
from marginface.protocols.pairs import Pairs, csv_pairs, lfw_pairs

PROTOCOLS = {"csv": CsvConfig, "generated": GeneratedConfig, "lfw": LfwConfig}
ProtocolConfig = CsvConfig | GeneratedConfig | LfwConfig

__all__ = [
    "PROTOCOLS",
    "Comparisons",
    "CsvConfig",
    "GeneratedConfig",
    "LfwConfig",
    "Pairs",
    "ProtocolConfig",
    "compare",
    "csv_pairs",
    "generated_pairs",
    "lfw_pairs",
]
