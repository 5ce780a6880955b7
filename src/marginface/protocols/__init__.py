"""Embeddings become comparisons: which images are scored against which, and their scores. numpy and scipy only."""

from marginface.protocols.comparisons import Comparisons, compare
from marginface.protocols.configs import CsvConfig, GeneratedConfig, LfwConfig
from marginface.protocols.differential import RfwConfig
from marginface.protocols.gallery_table import GalleryConfig
from marginface.protocols.generated import generated_pairs
from marginface.protocols.ijb import IjbbConfig, IjbbSearchConfig, IjbcConfig, IjbcSearchConfig
from marginface.protocols.ijbs import IjbsConfig
from marginface.protocols.named_files import MegaFaceConfig, ScfaceConfig, TinyFaceConfig
from marginface.protocols.pack import PackConfig
from marginface.protocols.pairs import Groups, Pairs, csv_pairs, lfw_pairs
from marginface.protocols.plans import DistractorPlan, Plan, SearchPlan, TemplatePairs
from marginface.protocols.templates import PoolingConfig, Templates, pool

PROTOCOLS = {
    "csv": CsvConfig,
    "gallery": GalleryConfig,
    "generated": GeneratedConfig,
    "ijbb": IjbbConfig,
    "ijbb-1n": IjbbSearchConfig,
    "ijbc": IjbcConfig,
    "ijbc-1n": IjbcSearchConfig,
    "ijbs": IjbsConfig,
    "lfw": LfwConfig,
    "megaface": MegaFaceConfig,
    "pack": PackConfig,
    "rfw": RfwConfig,
    "scface": ScfaceConfig,
    "tinyface": TinyFaceConfig,
}
ProtocolConfig = (
    CsvConfig
    | GalleryConfig
    | GeneratedConfig
    | IjbbConfig
    | IjbbSearchConfig
    | IjbcConfig
    | IjbcSearchConfig
    | IjbsConfig
    | LfwConfig
    | MegaFaceConfig
    | PackConfig
    | RfwConfig
    | ScfaceConfig
    | TinyFaceConfig
)

__all__ = [
    "PROTOCOLS",
    "Comparisons",
    "CsvConfig",
    "DistractorPlan",
    "GalleryConfig",
    "GeneratedConfig",
    "Groups",
    "LfwConfig",
    "Pairs",
    "Plan",
    "PoolingConfig",
    "ProtocolConfig",
    "SearchPlan",
    "TemplatePairs",
    "Templates",
    "compare",
    "csv_pairs",
    "generated_pairs",
    "lfw_pairs",
    "pool",
]
