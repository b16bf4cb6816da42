"""What every refusal has in common, and what a refused request must have left alone."""

from typing import Any

import requests

# What may go on by itself while nobody asks for anything: checks.
RESTLESS = ("checked_at", "status_reason")


def problem(answer: requests.Response, status: int, *fields: str) -> dict[str, Any]:
    """The body of an answer that has to be a problem (RFC 9457) with this status, naming exactly these fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"] and body["title"] and body["detail"]
    assert set(body) <= {"type", "title", "status", "detail", "errors"}
    named = {error["field"] for error in body.get("errors", [])}
    assert named == set(fields), body
    assert all(set(error) == {"field", "message"} and error["message"] for error in body.get("errors", []))
    assert "Traceback" not in answer.text
    return body


def steady(deployment: dict[str, Any]) -> dict[str, Any]:
    """The part of a deployment that only requests change."""
    return {name: value for name, value in deployment.items() if name not in RESTLESS}
