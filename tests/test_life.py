"""Every row of the life-cycle table, from request to settled status."""

import pytest


def test_created_deployment_runs_once_check_says_so(server, board, name):
    board.write(name, "check", "exit 1")
    answer = server.create(name)
    assert answer.status_code == 202
    assert answer.json()["status"] == "CreatePending"
    action = server.finished(answer.json()["action"]["id"])
    assert (action["state"], action["exit_code"]) == ("succeeded", 0)
    board.wait_for_call(name, "check")
    assert server.deployment(name)["status"] == "CreatePending"
    board.write(name, "check", "exit 0")
    assert server.settled(name, "Running")["links"] == [{"name": "app", "url": f"http://localhost/{name}"}]


@pytest.mark.parametrize(("kind", "script"), [("update", "update"), ("archive", "archive"), ("create", "create")])
def test_failed_script_settles_the_status_at_once(server, board, name, kind, script):
    board.write(name, script, "echo all is lost >&2; exit 7")
    board.write(name, "check", "exit 1")
    if kind == "create":
        action = server.create(name).json()["action"]
    else:
        board.write(name, "check", "exit 0")
        server.running(name)
        board.write(name, "check", "exit 1")
        body = {"application": {"set": {"A": "1"}}} if kind == "update" else {}
        action = server.act(name, kind, **body).json()
    action = server.finished(action["id"])
    assert (action["state"], action["exit_code"]) == ("failed", 7)
    assert "all is lost" in action["reason"]
    assert action["output_tail"] == "all is lost"
    assert server.deployment(name)["status"] == "GenericFailure"


def test_whole_life_from_create_to_cleanup(server, board, name):
    server.archived(name)
    assert server.deployment(name)["archived_at"]
    assert server.act(name, "restore").status_code == 202
    assert server.settled(name, "Running")["archived_at"] is None
    assert server.act(name, "archive").status_code == 202
    server.settled(name, "Archived")
    action = server.act(name, "cleanup").json()
    assert server.finished(action["id"])["state"] == "succeeded"
    assert server.get(f"/deployments/{name}").status_code == 404
    history = server.get("/actions", params={"deployment": name}).json()["items"]
    assert [entry["kind"] for entry in history] == ["cleanup", "archive", "restore", "archive", "create"]
    assert server.create(name).status_code == 202, "the name is free again"
