"""Images: the Dockerfile, the build, the way into the registry, and the logins for it."""

from .credentials import credentials_for, pull_credentials
from .dockerfile import write_dockerfile
from .stages import build, preflight, push

__all__ = ["build", "credentials_for", "preflight", "pull_credentials", "push", "write_dockerfile"]
