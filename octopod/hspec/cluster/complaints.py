"""What kubectl complains about, in our words."""

import re

from ..processes import Done

SILENT = re.compile(
    r"connection refused|was refused|connection reset|no such host|no route to host|network is unreachable|"
    r"unable to connect to the server|i/o timeout|TLS handshake timeout|Client\.Timeout|context deadline exceeded|"
    r"server closed|unexpected EOF|: EOF|http2: |x509|invalid configuration|no configuration has been provided|"
    r"gave no answer|cannot be started|etcdserver|timed out waiting for the server|currently unable to handle",
    re.IGNORECASE,
)
BUSY = ("ServiceUnavailable", "TooManyRequests", "Timeout", "ServerTimeout")
STRANGER = re.compile(r"Unauthorized|must be logged in", re.IGNORECASE)
NO_SUCH_KIND = re.compile(r"doesn't have a resource type|no matches for kind|could not find the requested resource")


def complaint(done: Done) -> str:
    """What it complained about, without the decoration."""
    lines = done.complaint.splitlines()
    said = [line for line in lines if line.strip() and not re.match(r"Warning:|[EIW]\d{4} ", line)]
    text = "\n".join(said or lines)
    return re.sub(r'^error: |Error from server( \(\w+\))?: |error when \w+ "STDIN": ', "", text, flags=re.MULTILINE)


def reason(done: Done) -> str:
    """The API's word for why it refused; empty when it was not the API, or it did not say."""
    if found := re.search(r"Error from server \((\w+)\)", done.complaint):
        return found[1]
    if re.search(r"^The .+ is invalid", done.complaint, re.MULTILINE):
        return "Invalid"
    return "Unauthorized" if STRANGER.search(done.complaint) else ""


def explained(done: Done) -> str:
    """A sentence on why it did not work."""
    why, text = reason(done), complaint(done)
    if why == "Unauthorized" or STRANGER.search(text):
        return "the cluster does not accept the credentials of the kubeconfig. Log in again, or choose another context."
    if why == "Forbidden":
        return f"the cluster does not allow it. {text}"
    if not why and "localhost:8080" in text:
        return "kubectl knows no cluster: there is no kubeconfig, or it has no current context."
    if not why and SILENT.search(text):
        return f"the cluster cannot be reached. {text}"
    if why in BUSY:
        return f"the cluster is overloaded, or not quite up: try again in a while. {text}"
    if NO_SUCH_KIND.search(text):
        return f"the cluster does not know this kind; what serves it is not installed there. {text}"
    return text
