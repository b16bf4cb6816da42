# Both settings and tests are told things by the environment: OCTOPOD_PORT=9000 make run
PYTHON := .venv/bin/python

.PHONY: run test test-thorough lint format bench faults docs screenshots image-test

run:
	@tools/setup run
	@exec $(PYTHON) app.py

test:
	@tools/setup test
	$(PYTHON) -m pytest -n 3 --dist worksteal -m "not thorough"

test-thorough:
	@tools/setup test
	$(PYTHON) -m pytest -n 3 --dist worksteal -m thorough

lint:
	@tools/setup test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/shellcheck -x $$(tools/shell-scripts)

format:
	@tools/setup test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench:
	@tools/setup test
	$(PYTHON) -m bench.run

faults:
	@tools/setup test
	$(PYTHON) -m tests.faults.run

screenshots:
	@tools/setup test
	$(PYTHON) tools/screenshots.py

docs:
	@tools/setup test
	$(PYTHON) tools/write-settings-doc
	$(PYTHON) tools/write-chart-doc
	$(PYTHON) tools/write-hspec-doc

# As root. Not part of the tests: it installs Debian packages and downloads a Debian.
image-test:
	@tools/image-test
