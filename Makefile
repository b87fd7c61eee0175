# The front door. `make` alone explains itself.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

help:  ## say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(RUN)  ## transcribe the bundled two-channel call, live, on this machine
	@$(BIN)/voxfleet demo

serve: $(RUN)  ## keep a server running, with its console
	@$(BIN)/voxfleet serve

test: $(DEV)  ## everything the project promises, on this machine
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(DEV)  ## format, lint, types, and who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: bench-gateway bench-vad  ## all benchmarks: JSON and ratios on standard output

bench-gateway: $(DEV)  ## streams per core of a gateway, over real sockets
	@$(BIN)/python -m benchmarks.gateway

bench-vad: $(DEV)  ## cost of speech detection, and what the gate changes (needs ../shared/audio)
	@$(BIN)/python -m benchmarks.vad_cost
	@$(BIN)/python -m benchmarks.vad_gate

bench-accuracy: $(DEV)  ## live against offline word error rate on ../shared/audio, in real time
	@$(BIN)/python -m benchmarks.accuracy

proto: $(DEV)  ## generate the link's code from its .proto
	@$(BIN)/python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src --grpc_python_out=src src/voxfleet/cluster/link.proto

docs: $(DEV)  ## generate docs/protocol.md from the types
	@$(BIN)/python scripts/protocol_page.py > docs/protocol.md

dist: $(DEV)  ## wheel and source distribution
	@rm -rf dist
	@$(BIN)/python -m build --quiet

lock: $(DEV)  ## pin what the tests run with
	@$(BIN)/python scripts/lock.py > requirements.lock

clean:  ## remove what was made
	rm -rf $(VENV) dist build artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Voxfleet needs Python 3.11 or newer; choose one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not make a virtual environment. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }

$(RUN): $(VENV)/bin/python pyproject.toml requirements.lock
	@echo "Installing Voxfleet into $(VENV) (once, about 150 MB)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(DEV): $(RUN)
	@echo "Installing what the tests need…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@touch $@

.PHONY: help demo serve test check bench bench-gateway bench-vad bench-accuracy proto docs dist lock clean
