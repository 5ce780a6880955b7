"""`marginface gallery audit TEAM.db`: is everything as the log says?"""

from __future__ import annotations

from marginface.cli.arguments import parse
from marginface.cli.gallery_faces import GalleryArgument


def audit(gallery: GalleryArgument, anchor: str = "", log: bool = False) -> None:
    """Check the chain of the log, the people against it, and every stored vector; exit code 1 if anything is wrong.

    Args:
        gallery: As it was created.
        anchor: A digest that an earlier audit printed and that was kept elsewhere: shows that the log was not forged.
        log: Print the log too.
    """
    from marginface.errors import WorkError
    from marginface.search.gallery import Gallery

    with Gallery(gallery) as opened:
        report = opened.audit(anchor=anchor)
        for entry in opened.store.entries() if log else ():
            print(f"{entry.sequence}\t{entry.time}\t{entry.event}\t{entry.person_id or '-'}\t{entry.detail}")
    for problem in report.problems:
        print(problem)
    print(f"{report.num_people:,} people, {report.num_images:,} images, {report.num_entries:,} audit entries")
    if report.clock_went_back_at:
        print(f"the clock had gone back at entries {', '.join(map(str, report.clock_went_back_at))}; their order holds")
    print(f"anchor {report.digest}")
    if report.problems:
        raise WorkError(f"{gallery}: {len(report.problems)} problems were found.")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(audit, words, "gallery audit")
    return 0
