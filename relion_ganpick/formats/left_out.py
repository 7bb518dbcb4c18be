"""Files of coordinates that cannot be read: each costs one line, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from relion_ganpick.core.errors import GanpickError
from relion_ganpick.core.faults import hits_all, in_words

NOTHING = "no file of coordinates could be used: the lines above say why"

log = logging.getLogger(__name__)


class LeftOut:
    """Takes down the files that cannot be read, and says a line about each.

    Attributes
    ----------
    files
        What was left out, in the order of reading.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Read a file in this context: what goes wrong is one line, unless it must hit all other files too."""
        try:
            yield
        except Exception as error:
            if hits_all(error):
                raise
            self.files.append(path)
            text = str(error) if isinstance(error, GanpickError) else in_words(error)
            text = text if str(path) in text else f"{path}: {text}"
            log.error("%s; left out: mend it, or delete it", " ".join(text.split()))

    def check_some(self, found: Sized) -> None:
        """Check that something was read where files were left out.

        Raises
        ------
        GanpickError
            If nothing was.
        """
        if not len(found) and self.files:
            raise GanpickError(NOTHING)

    def end(self) -> None:
        """Say how many files were left out."""
        n = len(self.files)
        if n:
            log.warning(f"{n} file{'' if n == 1 else 's'} left out, as {'it' if n == 1 else 'they'} cannot be read (see above)")


def reading(left_out: LeftOut | None, path: Path) -> AbstractContextManager[None]:
    """Read a file in this context: a fault is taken down if there is somebody who does it, else it is raised."""
    return nullcontext() if left_out is None else left_out.reading(path)
