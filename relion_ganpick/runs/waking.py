"""Wait until something changes in a folder, on file systems that report changes and on those that do not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import watchfiles

NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "panfs", "pvfs2"}
SECONDS_ON_NETWORK = 5.0
TICK_MILLISECONDS = 500

logging.getLogger("watchfiles").setLevel(logging.WARNING)


def changes(place: Path, poll: float | None) -> Iterator[bool]:
    """Yield whether something has changed below a folder, at once when it has, and at least twice a second.

    Parameters
    ----------
    place
        The folder.
    poll
        Look every so many seconds; None listens to what the system reports, and looks every 5 s on a network file system, whose
        changes by other machines are not reported.
    """
    seconds = poll or (SECONDS_ON_NETWORK if is_network(place) else None)
    yield True
    for found in watchfiles.watch(
        place,
        watch_filter=None,
        debounce=TICK_MILLISECONDS,
        rust_timeout=TICK_MILLISECONDS,
        yield_on_timeout=True,
        force_polling=seconds is not None,
        poll_delay_ms=round(1000 * (seconds or 1.0)),
        ignore_permission_denied=True,
    ):
        yield bool(found)


def is_network(place: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Tell whether a folder lies on a network file system, or on one in user space, by the system's table of mounts."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return True
    whole = place.resolve()
    kinds = {Path(words[1].replace("\\040", " ")): words[2] for words in lines if len(words) > 2}
    mount = next((each for each in (whole, *whole.parents) if each in kinds), None)
    kind = "" if mount is None else kinds[mount]
    return kind in NETWORK or kind.startswith("fuse")
