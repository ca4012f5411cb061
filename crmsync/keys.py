"""Keys a newcomer need not think about: made once, kept in the var directory, readable by its owner only.

A deployment gives its own through the environment; what is stored here serves one host with one disk.
"""

import base64
import os
import secrets
import tempfile
from pathlib import Path


def new_secret_key() -> str:
    """A fresh Django SECRET_KEY."""
    return secrets.token_urlsafe(64)


def new_encryption_key() -> str:
    """A fresh Fernet key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def stored_key(path: Path, fresh: str) -> str:
    """The key kept in `path`; when there is none yet, `fresh` is kept there with mode 600 and returned.

    Safe when several processes start at once: the first one's key wins, all return that one.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w") as file:
            file.write(fresh + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its key is the one
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
