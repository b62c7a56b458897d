# dx-py-ls: what there is to build and check. Each target installs what it
# needs; Go 1.26, a C compiler, Python 3.8 or newer and Node 20 must be there.

GO ?= go
PYTHON ?= python3
SHARED ?= ../shared
SUITES ?= .suites
BENCH ?= .bench

# The tests and benchmarks measure pytest as users run it.
unexport PYTHONDONTWRITEBYTECODE

# Linked statically where the C library allows it: 0.3 ms less at every start.
STATIC := $(shell printf 'int main(void){return 0;}' | $(CC) -static -x c -o /dev/null - 2>/dev/null && echo yes)
LDFLAGS := -s -w $(if $(STATIC),-linkmode external -extldflags "-static")
# noasm: engine/internal/cpu asks the processor, in three instructions of sixty.
TAGS := netgo,osusergo,noasm

.PHONY: build demo test race lint fuzz-short bench keystrokes conformance mutate faults soak fresh nasty check e2e-nvim e2e-node e2e-emacs

build:
	$(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/dx-py-ls ./cmd/dx-py-ls
	@ln -sf dx-py-ls bin/dx-py

# The main job on a sample project, in a virtual environment of its own. Some
# of its tests fail on purpose, so exit status 1 is what is wanted.
demo: build .demo/venv/bin/pytest
	@echo
	@echo '$$ dx-py test   (testdata/projects/sample)'
	@cd testdata/projects/sample && { DX_PY_NO_DAEMON=1 ../../../bin/dx-py test -p no:cacheprovider --python ../../../.demo/venv/bin/python --state-dir ../../../.demo/state; test $$? -eq 1; }

.demo/venv/bin/pytest:
	$(PYTHON) -m venv .demo/venv
	.demo/venv/bin/python -m pip install --quiet --disable-pip-version-check pytest

# Every test.
test:
	$(GO) test -timeout 40m ./...
	$(GO) test -tags $(TAGS) ./engine/internal/cpu

race:
	$(GO) test -race -timeout 30m ./engine ./engine/daemon ./engine/run/... ./engine/ring/... ./engine/workspace/... ./engine/store/... ./lsp/...

# The packages without cgo must build on the platforms that CI has not.
lint:
	@test -z "$$(gofmt -l cmd engine lsp)" || { gofmt -l cmd engine lsp; exit 1; }
	$(GO) vet ./...
	CGO_ENABLED=0 GOOS=darwin $(GO) vet ./engine/... ./lsp/server ./cmd/dx-py-ls ./cmd/internal/cli
	CGO_ENABLED=0 GOOS=windows $(GO) vet ./engine/... ./lsp/server ./cmd/dx-py-ls ./cmd/internal/cli

# Counted, not timed: a run of "5s" ends now and then with "context deadline
# exceeded" though nothing was found (go.dev/issue/75804).
FUZZ := $(GO) test -run NONE -fuzzminimizetime 100x
QUICK ?= 100000x
SLOW ?= 10000x
fuzz-short:
	$(FUZZ) -fuzz FuzzParse -fuzztime $(QUICK) ./engine/pysrc
	$(FUZZ) -fuzz FuzzDecode -fuzztime $(QUICK) ./engine/pysrc
	$(FUZZ) -fuzz FuzzEdit -fuzztime $(QUICK) ./engine/pysrc
	$(FUZZ) -fuzz FuzzParse -fuzztime $(QUICK) ./engine/pyexpr
	$(FUZZ) -fuzz FuzzEval -fuzztime $(QUICK) ./engine/pyeval
	$(FUZZ) -fuzz FuzzConfig -fuzztime $(SLOW) ./engine/config
	$(FUZZ) -fuzz FuzzExpression -fuzztime $(QUICK) ./engine/pytest
	$(FUZZ) -fuzz FuzzDecode -fuzztime $(QUICK) ./engine/client
	$(FUZZ) -fuzz FuzzFrame -fuzztime $(QUICK) ./engine/wire
	$(FUZZ) -fuzz FuzzOpen -fuzztime $(SLOW) ./engine/store

# Speed beside the peers, as ratios; writes testdata/perf and README's tables.
# Quarter of an hour, when all is installed; ROWS=run-193 prints those rows only.
ROWS ?=
bench: build
	$(GO) run ./cmd/internal/bench -shared $(SHARED) -dir $(BENCH) -binary bin/dx-py-ls $(if $(ROWS),-rows '$(ROWS)')
	$(if $(ROWS),,$(MAKE) --no-print-directory keystrokes)

# The latencies of the language server: a key in the body of a test, to the lenses
# and to the tree too; line ends, which move all; tests typed key by key; the first
# tree of 10,000 files; what a run at the cursor adds to the engine's; a key by
# way of the resident process.
keystrokes:
	$(GO) test -run NONE -bench Keystroke -benchtime 400x ./lsp/server
	$(GO) test -run NONE -bench FirstTree -benchtime 10x ./lsp/server
	$(GO) test -run NONE -bench RunAtCursor -benchtime 100x ./lsp/server
	$(GO) test -run NONE -bench Keystroke -benchtime 400x ./lsp/forward

# Ids and outcomes against pytest on the public suites; NAMES="click flask" for
# some, VERIFY=1 for dx-py verify on each as well.
TIMES ?= 3
conformance: build
	$(GO) run ./cmd/internal/bench -conformance -times $(TIMES) $(if $(VERIFY),-verify) -shared $(SHARED) -dir $(SUITES) -binary bin/dx-py-ls $(NAMES)

# Real Neovims, made by the recipes; NEOTEST names a folder with neotest,
# nvim-nio and plenary.nvim.
E2E ?= $(HOME)/.cache/dx-py-e2e
NEOTEST ?=
e2e-nvim: build .demo/debug/bin/pytest
	@if [ ! -x $(E2E)/nvim-forky/nvim ] && [ ! -x $(SHARED)/recipes/install.sh ]; then \
		echo "e2e-nvim: skipped, there is no Neovim in $(E2E) and no $(SHARED)/recipes/install.sh to make one"; \
	else \
		{ [ -x $(E2E)/nvim-forky/nvim ] || DX_E2E_DIR=$(E2E) $(SHARED)/recipes/install.sh; } && \
		DX_E2E_DIR=$(E2E) DX_NEOTEST_DIR=$(NEOTEST) lsp/editors/neovim/e2e/run.sh bin/dx-py-ls .demo/debug/bin/python; \
	fi

# An independent client, and its judgement of each message.
e2e-node: build .demo/venv/bin/pytest .demo/debug/bin/pytest
	cd lsp/editors/node && npm ci --no-audit --no-fund --loglevel=error
	node lsp/editors/node/check.mjs bin/dx-py-ls $(CURDIR)/.demo/venv/bin/python $(CURDIR)/.demo/debug/bin/python

.demo/debug/bin/pytest:
	$(PYTHON) -m venv .demo/debug
	.demo/debug/bin/python -m pip install --quiet --disable-pip-version-check pytest debugpy coverage

# Debian: emacs-nox and elpa-eglot.
e2e-emacs: build .demo/venv/bin/pytest
	@if ! emacs --batch -f package-initialize --eval "(require 'eglot)" 2>/dev/null; then \
		echo "e2e-emacs: skipped, there is no Emacs with eglot"; \
	else \
		rm -rf .demo/emacs && mkdir -p .demo/emacs && printf '[pytest]\n' > .demo/emacs/pytest.ini && \
		cp lsp/editors/neovim/e2e/test_shop.py .demo/emacs && cd .demo/emacs && git init -q && \
		export DX_PY_RUNTIME_DIR=$$(mktemp -d) DX_BINARY=$(CURDIR)/bin/dx-py-ls DX_PYTHON=$(CURDIR)/.demo/venv/bin/python; \
		trap '$(CURDIR)/bin/dx-py daemon stop >/dev/null; rm -rf $$DX_PY_RUNTIME_DIR' EXIT; \
		emacs --batch -f package-initialize -l $(CURDIR)/lsp/editors/emacs/eglot.el; \
	fi

# Mutations of the public suites: test --affected must run each test whose
# outcome changes. It mutates the suites in a folder of its own. QUICK_MUTATE=-quick
# does not ask pytest where nothing was left out.
MUTATED ?= .mutated
MUTATIONS ?= 20
SEED ?= 1
ONLY ?= 0
# NARROW=1 has affected --audit go before, so that what is due is found by function; BODIES=1 mutates bodies of functions only.
mutate: build
	$(GO) run ./cmd/internal/bench -mutate $(if $(NARROW),-narrow) $(if $(BODIES),-bodies) -n $(MUTATIONS) -seed $(SEED) -only $(ONLY) $(QUICK_MUTATE) -shared $(SHARED) -dir $(MUTATED) -binary bin/dx-py-ls $(NAMES)

# What has to hold before a commit.
check: lint test

# Signals to random processes at random moments, with and without a resident
# process; SEED repeats what failed.
ROUNDS ?= 1000
faults:
	DX_ROUNDS=$(ROUNDS) DX_SEED=$(SEED) $(GO) test -count 1 -timeout 4h -v -run 'TestRandomSignals|TestFaults' ./engine
	DX_ROUNDS=$(ROUNDS) DX_SEED=$(SEED) $(GO) test -count 1 -timeout 4h -v -run TestSignalsThroughResident ./cmd/internal/cli

# Runs through one resident process with edits between, many clients at once,
# the process killed: every answer right, nothing grows. SEED repeats.
soak:
	DX_ROUNDS=$(ROUNDS) DX_SEED=$(SEED) $(GO) test -count 1 -timeout 4h -v -run 'TestWriteThenRun|TestAgainstPytest|TestClients|TestResidentKilled' ./cmd/internal/cli

# Random edits between the runs of a living engine, each against a fresh pytest,
# so many in each of four ways.
EDITS ?= 500
fresh:
	DX_EDITS=$(EDITS) DX_SEED=$(SEED) $(GO) test -count 1 -timeout 4h -v -run TestFreshAfterEdits ./engine

# The projects of testdata/nasty under all their arguments, with three releases
# of pytest: text, exit status and JUnit's file are plain pytest's. With two
# workers the lines are, or pytest-xdist's.
nasty:
	DX_NASTY=all $(GO) test -count 1 -timeout 1h -run TestNasty ./cmd/internal/cli
