# The front door. `make` alone explains itself.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
DEVICE ?= cpu
WHISPER ?= large-v3-turbo
SHARED := ../shared/audio/MANIFEST.tsv
# LibriSpeech test-other where it is; its file names begin with the speaker. Without it the bundled call is measured.
SPOKEN := $(if $(wildcard $(SHARED)),--audio $(SHARED) --match libri)
SPEAKERS := $(if $(wildcard $(SHARED)),--unit '/libri-other.([0-9]+)-/')

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

bench: bench-load bench-accuracy  ## the standard short load and accuracy runs, into reports/ (with ../shared/audio where it is)

bench-load: $(DEV)  ## eight live callers for a minute: latency, stability, errors
	@$(BIN)/voxfleet load --streams 8 --seconds 60 $(SPOKEN)

bench-accuracy: $(DEV)  ## word errors offline and live, and inventions on non-speech
	@$(BIN)/voxfleet evaluate --non-speech $(SPOKEN) $(SPEAKERS)

bench-capacity: $(DEV)  ## the most live callers this machine serves within two seconds (half an hour)
	@$(BIN)/voxfleet load --find-capacity --streams 4 --max-streams 64 --seconds 60 $(SPOKEN)

bench-generator: $(DEV)  ## how many callers one core of the load generator holds
	@$(BIN)/python -m benchmarks.generator

bench-gateway: $(DEV)  ## streams per core of a gateway, over real sockets
	@$(BIN)/python -m benchmarks.gateway

bench-fleet: $(DEV)  ## workers killed, drained and overrun: what 100 callers notice; two gateways on one port (10 minutes)
	@$(BIN)/python -m benchmarks.fleet
	@$(BIN)/python -m benchmarks.fleet --drain
	@$(BIN)/python -m benchmarks.fleet --overload
	@$(BIN)/python -m benchmarks.gateways

bench-soak: $(DEV)  ## half an hour of callers who come, go and misbehave while workers are killed: memory, texts
	@$(BIN)/python -m benchmarks.soak --minutes 30

bench-transducer: $(DEV)  ## live streams per device of the transducer engine, 0.6 B shape; DEVICE=cuda:0 for a card (10 minutes)
	@$(BIN)/voxfleet bench engine --engine transducer --shape nemotron-3.5-0.6b --random-weights --device $(DEVICE) --json reports/transducer.json

bench-whisper: $(DEV)  ## live streams per device of the Whisper engine, turbo's shape; DEVICE=cuda:0 for a card (5 minutes)
	@$(BIN)/voxfleet bench engine --engine whisper --shape $(WHISPER) --random-weights --device $(DEVICE) --speech 0.5 --json reports/whisper.json

bench-whisper-cpu: $(DEV)  ## Whisper tiny through CTranslate2 against a loop of faster-whisper, in one run (6 minutes)
	@$(BIN)/python -m benchmarks.whisper_cpu

bench-vad: $(DEV)  ## cost of speech detection, and what the gate changes (needs ../shared/audio)
	@$(BIN)/python -m benchmarks.vad_cost
	@$(BIN)/python -m benchmarks.vad_gate

proto: $(DEV)  ## generate the link's code from its .proto
	@$(BIN)/python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src --grpc_python_out=src src/voxfleet/cluster/link.proto

docs: $(DEV)  ## generate docs/protocol.md and the schema of reports from the types
	@$(BIN)/python scripts/protocol_page.py > docs/protocol.md
	@$(BIN)/python scripts/report_schema.py > docs/report.schema.json

dist: $(DEV)  ## wheel and source distribution
	@rm -rf dist
	@$(BIN)/python -m build --quiet

lock: $(DEV)  ## pin what the tests run with
	@$(BIN)/python scripts/lock.py > requirements.lock

clean:  ## remove what was made
	rm -rf $(VENV) dist build artifacts reports .mypy_cache .ruff_cache .pytest_cache .hypothesis

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
	@echo "Installing what the tests need (with PyTorch: 1 GB, or 5 GB where pip takes its CUDA build)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[speakers]' 2>/dev/null || \
		echo "meeteval could not be built (it needs a C++ compiler and Python's headers): tests of speaker scoring will be skipped"
	@touch $@

.PHONY: help demo serve test check bench bench-load bench-accuracy bench-capacity bench-generator bench-gateway bench-fleet bench-soak bench-transducer bench-whisper bench-whisper-cpu bench-vad proto docs dist lock clean
