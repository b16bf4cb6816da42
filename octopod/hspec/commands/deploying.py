"""`deploy service`, `generate service manifests`, `validate`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import spec, workflow
from ..talk import Talk
from ..workflow import Job, SpecFile, Stage
from .printing import print_data, print_table, problems

NO_APP = "app"  # where none is needed; only the length of names depends on it


def jobs(options: Namespace) -> list[Job]:
    """A job for each spec, with its profile."""
    chosen = spec.choose_profiles(options.files, options.profiles, options.profile_name)
    talk = Talk(verbose=getattr(options, "verbose", False))
    app, namespace = getattr(options, "app", NO_APP), getattr(options, "namespace", None)
    timeout = getattr(options, "timeout", None)
    return [Job(SpecFile(path, profile), app, namespace, talk, timeout) for path, profile in chosen.items()]


def carry_out(options: Namespace, first: Stage, stages: Sequence[Stage]) -> list[Job]:
    made = jobs(options)
    workflow.work(made, first, stages)
    return made


def exit_code(made: list[Job]) -> int:
    return next((job.error.code for job in made if job.error), 0)


def deploy(options: Namespace) -> int:
    made = carry_out(options, workflow.VALIDATE_AND_LOOK_AROUND, workflow.DEPLOY)
    if options.output == "text":
        print_table(["SERVICE", "RESULT", "TIME", "ADDRESS"], [summary(job) for job in made])
    else:
        print_data({"serviceStatus": [as_json(job) for job in made]}, options.output)
    return exit_code(made)


def validate(options: Namespace) -> int:
    made = carry_out(options, workflow.VALIDATE, ())
    if options.output != "text":
        print_data({"serviceStatus": [as_json(job) | {"result": validity(job)} for job in made]}, options.output)
    return exit_code(made)


def validity(job: Job) -> str:
    return "invalid" if job.error else "valid"


def generate(options: Namespace) -> int:
    """As text, the paths of what was written; else the manifests themselves, for kubectl or a repository."""
    made = carry_out(options, workflow.VALIDATE, (workflow.MANIFESTS,))
    items = [manifest.data for job in made for manifest in job.manifests]
    if options.output == "json":
        print_data({"apiVersion": "v1", "kind": "List", "items": items}, "json")
    elif options.output == "yaml":
        for item in items:
            print_data(item, "yaml")
    else:
        for job in made:
            for manifest in job.manifests:
                print(job.workspace.manifests / manifest.filename)
    return exit_code(made)


def result(job: Job) -> str:
    return "failed" if job.error else "deployed" if job.manifests else "not begun"


def summary(job: Job) -> tuple[list[str], str]:
    code = f" ({job.error.code})" if job.error else ""
    cells = [job.name, result(job) + code, f"{job.seconds:.1f} s", ",".join(job.addresses)]
    return cells, "\n".join(f"{name}: {path}" for name, path in shown_files(job).items())


def shown_files(job: Job) -> dict[str, Path]:
    return {name: path for name, path in job.files.items() if path.exists()}


def as_json(job: Job) -> dict[str, Any]:
    """The keys of the original's `serviceStatus`, and more."""
    return {
        "name": job.name,
        "result": result(job),
        "exitCode": job.error.code if job.error else 0,
        "message": str(job.error) if job.error else "",
        "problems": problems(job.error) if job.error else [],
        "digest": job.digest,
        "addresses": job.addresses,
        "files": {name: str(path) for name, path in shown_files(job).items()},
        "seconds": round(job.seconds, 1),
    }
