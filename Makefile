# The targets are the interface of the repository; CI calls the same ones.

SHELL      := /bin/bash
.DEFAULT_GOAL := help

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO         ?= go
BIN        := bin/pillarbox
SAMPLE     ?= data/sample
FUZZTIME   ?= 5s
BENCH      ?= .
BENCHTIME  ?= 1s

export CGO_ENABLED := 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the one static binary at bin/pillarbox
	@$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/pillarbox

.PHONY: run
run: build ## Serve a sample office on this machine and tell how to connect (SAMPLE=folder)
	@exec $(BIN) serve --sample --data $(SAMPLE)

.PHONY: test
test: ## Run all tests
	$(GO) test ./...

.PHONY: bench
bench: ## Measure (BENCH=pattern, BENCHTIME=time)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: lint
lint: ## Check the form of the sources
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./...

.PHONY: clean
clean: ## Remove what was built, and the sample office
	rm -rf bin $(SAMPLE)
