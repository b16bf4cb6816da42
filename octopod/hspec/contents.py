"""What ConfigMaps and Secrets may hold, and the files in which they have everything once more."""

from collections.abc import Mapping

LARGEST = 1_048_576  # bytes of all values of a ConfigMap or a Secret
ALL_PROPS, ALL_SECRETS = "config.props", "secret.props"  # keys of these files


def lines(values: Mapping[str, str]) -> str:
    """Such a file."""
    return "".join(f"{key}={value}\n" for key, value in values.items())
