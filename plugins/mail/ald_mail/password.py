"""Where a password comes from: never from the run file, and no message repeats it."""

from __future__ import annotations

import netrc
import os
from pathlib import Path

from ald_core.errors import InputError


def find_password(host: str, user: str, variable: str | None) -> str:
    """The password of `user` at `host`; InputError, without the password, if there is none."""
    if variable is not None:
        password = os.environ.get(variable)
        if not password:
            raise InputError(
                f"the environment variable {variable}, which holds the password, is not set"
            )
        return password
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc.netrc(path).authenticators(host)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror}); name a variable with the password (password_variable)",
            path=path,
        ) from None
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:  # whose words may be the password
        line = getattr(error, "lineno", None)
        raise InputError("is not a valid netrc file", path=path, line=line) from None
    if found is None or found[0] not in ("", user) or not found[2]:
        raise InputError(f"holds no password of {user} for the machine {host}", path=path)
    return found[2]
