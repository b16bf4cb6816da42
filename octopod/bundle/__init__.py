"""Signed script bundles: what they are made of and how they are run. Knows nothing of the server."""
