"""People who do not exist: drawn faces whose identity, nuisance and landmarks are known."""

from marginface.drawn.contact_sheet import contact_sheet, write_contact_sheet
from marginface.drawn.identity import Identity, draw_identity, draw_sibling
from marginface.drawn.nuisance import Nuisance, draw_nuisance
from marginface.drawn.people import DrawnPeople, write_tar

__all__ = [
    "DrawnPeople",
    "Identity",
    "Nuisance",
    "contact_sheet",
    "draw_identity",
    "draw_nuisance",
    "draw_sibling",
    "write_contact_sheet",
    "write_tar",
]
