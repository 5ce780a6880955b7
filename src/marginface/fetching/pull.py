"""`marginface models pull NAME`: download published weights, check them, and import them.

The downloads stay in `FOLDER/../.downloads/NAME`, so that an interrupted pull goes on and a second one downloads
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from marginface.errors import InputError, WorkError, one_of
from marginface.fetching.download import Progress, download
from marginface.fetching.model_registry import PublishedModel, published_models
from marginface.models.convert import Imported, import_checkpoint


def pull(
    name: str,
    *,
    folder: Path,
    confirm: Callable[[PublishedModel], bool],
    progress: Progress,
    registry: Path | None = None,
    command: str = "",
) -> Imported:
    """Return a published model, written to `folder`.

    Args:
        name: of the registry.
        folder: the model folder to write.
        confirm: asked before anything is downloaded unless the terms allow commercial use; it should show
            `PublishedModel.terms()`.
        progress: `progress(what, done, total)` in bytes.
        registry: another registry file, such as a laboratory's own mirror.
        command: what was typed, for the card.

    Raises:
        InputError: unknown model, terms not accepted, a file that changed on this disk or cannot be imported.
        WorkError: no network, a full disk, bytes that are not those expected, another family than the registry says.
    """
    known = published_models(registry)
    if name not in known:
        raise InputError(f"{name}: there is no such published model{one_of(name, list(known))}.")
    wanted = known[name]
    if wanted.commercial_use != "allowed" and not confirm(wanted):
        raise InputError(f"{name}: nothing was downloaded, because its terms were not accepted.")
    downloads = folder.parent / ".downloads" / name
    paths = {file.name: download(file, downloads, progress=progress) for file in wanted.files}
    imported = import_checkpoint(
        [paths[file.name] for role in ("network", "shard") for file in wanted.files if file.role == role],
        name=name,
        colour_order=wanted.colour_order,
        value_range=wanted.value_range,
        licence=wanted.licence,
        commercial_use=wanted.commercial_use,
        training_data=wanted.training_data,
        command=command,
    )
    if imported.family != wanted.family:
        raise WorkError(
            f"{name}: the file is of the family {imported.family}, but the registry says {wanted.family}; it is kept "
            f"in {downloads}, and nothing was imported."
        )
    imported.save(folder)
    return imported
