"""Images: the Dockerfile, the build, the way into the registry, and the logins for it."""

from .credentials import credentials_for
from .dockerfile import write_dockerfile
from .stages import build, preflight, push

__all__ = ["build", "credentials_for", "preflight", "push", "write_dockerfile"]
