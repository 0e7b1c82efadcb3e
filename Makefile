# featx: every target does its own set-up; `make help` lists them.
BASE ?= tiny
DATA ?= digits
LAYER ?= layer3
CLF ?= logreg
FROM ?= layer4
BUDGET ?= 10m
OUT ?= report.html
PYTHON ?= python3
VENV ?= .venv
FEATX = $(VENV)/bin/featx
WEIGHTS_FLAG = $(if $(WEIGHTS),--weights "$(WEIGHTS)")
POOLING_FLAG = $(if $(POOLING),--pooling "$(POOLING)")
CHOICE = "$(DATA)" --base "$(BASE)" $(WEIGHTS_FLAG)
PHOTOS = $(filter-out digits,$(DATA))
REQUEST = $(CHOICE) $(POOLING_FLAG)

.PHONY: help setup lock demo auto extract fit compare report finetune docs release-check test test-fast stress bench check format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'
	@echo "  Variables: BASE=$(BASE) DATA=$(DATA) LAYER=$(LAYER) CLF=$(CLF) BUDGET=$(BUDGET) WEIGHTS= POOLING="

$(VENV)/installed: pyproject.toml constraints.txt .ci/install.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python .ci/install.py
	@touch $@

setup: $(VENV)/installed ## Make .venv and install featx with everything it needs

lock: ## Write constraints.txt anew: the versions and hashes that setup installs
	PYTHON=$(PYTHON) .ci/lock

demo: setup ## Tell the whole story on built-in data: every layer, every classifier, one table
	$(FEATX) run digits

auto: setup ## Do the whole job within a budget of time: make auto DATA=photos BASE=resnet50 [BUDGET=10m]
	$(FEATX) auto "$(DATA)" $(foreach base,$(BASE),--base "$(base)") $(foreach file,$(WEIGHTS),--weights "$(file)") \
		--budget "$(BUDGET)" --out "$(notdir $(DATA)).featx"

extract: setup ## Compute and store features: make extract LAYER=layer3 [DATA=photos BASE=resnet50]
	$(FEATX) extract $(REQUEST) $(foreach layer,$(LAYER),--layer "$(layer)")

fit: extract ## Train and evaluate one classifier: make fit CLF=svm
	$(FEATX) fit $(REQUEST) --layer "$(firstword $(LAYER))" --clf "$(CLF)"

compare: setup ## Print the table of cached layers and classifiers
	$(FEATX) compare $(REQUEST)

report: setup ## Write one HTML page on what was evaluated: make report [OUT=report.html]
	$(FEATX) report $(REQUEST) --out "$(OUT)"

finetune: setup ## Train a head on the frozen base, then unfreeze stages: make finetune FROM=layer4 [DATA=photos]
	$(FEATX) finetune $(CHOICE) --from "$(FROM)" --out "$(notdir $(DATA)).featx"

docs: setup ## Build the documentation into build/site, and stop at any warning
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet

release-check: setup ## Build what a release consists of, install it into an empty environment, run the demo there
	$(VENV)/bin/python .ci/release_check.py

test: setup ## Run the tests
	$(VENV)/bin/python -m pytest -n 2

test-fast: setup ## Run the quick tests: an answer in under a minute
	$(VENV)/bin/python -m pytest -m "not slow" -n 2 --maxfail 5

stress: setup ## The long form of the crash, fault and fuzz tests (many minutes)
	FEATX_STRESS=1 $(VENV)/bin/python -m pytest -m stress

bench: setup ## Measure side by side; tables go to benchmarks/results/: make bench [DATA=photos BASE=resnet50]
	$(VENV)/bin/python benchmarks/store.py
	$(VENV)/bin/python benchmarks/fit.py --quick --out benchmarks/results/fit-quick
	$(VENV)/bin/python benchmarks/extract.py --made
	$(if $(PHOTOS),$(VENV)/bin/python benchmarks/extract.py "$(PHOTOS)" --base "$(BASE)" $(WEIGHTS_FLAG))
	$(if $(PHOTOS),$(VENV)/bin/python benchmarks/engines.py "$(PHOTOS)")

check: setup ## Check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: setup ## Put the code into the house style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## Remove what tools left behind; the cache stays
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
