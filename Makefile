# Every target sets up what it needs; nothing but Python 3.11, g++ and make has to be there.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NATIVE := $(wildcard frontend/pyramulator/native/*) frontend/pyramulator/_build.py

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench generate sensitivity fidelity bridge sanitize fuzz clean

help: ## list every target
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## build the native core and install pamsim, editable, into .venv

$(STAMP): pyproject.toml setup.py $(NATIVE)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## run the main job on real input and show the result
	$(BIN)/pamsim run --model llama-3-8b --system pam-hbm --context 8192 --batch 4 --out-dir demo-out --force

test: $(STAMP) ## pass the tests
	$(BIN)/python -m pytest

check: $(STAMP) ## lint, types, import layering, generated files up to date
	$(BIN)/ruff check frontend tests scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/sensitivity.py --check
	$(BIN)/python scripts/fidelity.py --check

generate: $(STAMP) ## write the generated files anew (ISA reference, JSON schemas, outputs in README and guide)
	$(BIN)/python scripts/generate.py

sensitivity: $(STAMP) ## vary every assumed constant over its range (docs/sensitivity.md)
	$(BIN)/python scripts/sensitivity.py

fidelity: $(STAMP) ## measure what docs/fidelity.md says, beside papers and simulators
	$(BIN)/python scripts/fidelity.py

bench: $(STAMP) ## measure: engine, families, bridge, main job, compiler and proofs, batches
	$(BIN)/python scripts/bench.py
	$(BIN)/python scripts/bench_families.py
	$(BIN)/python scripts/bench_bridge.py
	$(BIN)/python scripts/bench_job.py
	$(BIN)/python scripts/bench_python.py
	$(BIN)/python scripts/bench_batch.py

bridge: $(STAMP) ## hold the engine against Ramulator 2.1 (RAMULATOR2_ROOT): 50,000 random cases
	PAMSIM_BRIDGE_CASES=50000 $(BIN)/python -m pytest tests/test_pyramulator_bridge.py tests/test_pyramulator_bridge_faults.py

sanitize: $(STAMP) ## the native code under AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer
	$(BIN)/python scripts/sanitize.py

fuzz: $(STAMP) ## fuzz the C ABI with libFuzzer (clang) for FUZZ_SECONDS, 60 if not set
	$(BIN)/python scripts/sanitize.py --fuzz --seconds $(or $(FUZZ_SECONDS),60)

clean: ## remove what was built
	rm -rf $(VENV) build dist demo-out frontend/*.egg-info frontend/pyramulator/_native*.so
