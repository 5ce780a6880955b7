"""Published weights -> FaceModels: read safely, recognised by what is in them, checked tensor by tensor."""

from marginface.models.convert.families import FAMILIES, Family, HeadRule
from marginface.models.convert.foreign_file import ForeignFile, read_foreign_file
from marginface.models.convert.heads import ForeignHead
from marginface.models.convert.importing import ContractUnknownError, Imported, import_checkpoint
from marginface.models.convert.layouts import LAYOUTS, Layout

__all__ = [
    "FAMILIES",
    "LAYOUTS",
    "ContractUnknownError",
    "Family",
    "ForeignFile",
    "ForeignHead",
    "HeadRule",
    "Imported",
    "Layout",
    "import_checkpoint",
    "read_foreign_file",
]
