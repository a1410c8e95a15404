# The targets are the interface of the repository; CI calls the same ones.

SHELL      := /bin/bash
.DEFAULT_GOAL := help

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO         ?= go
BIN        := bin/pillarbox
SAMPLE     ?= data/sample
FUZZTIME   ?= 5s
SOAKTIME   ?= 10m
IMAGE      ?= qemu-amd64
CUTS       ?= 100
BENCH      ?= .
BENCHTIME  ?= 1s
PEERS      ?= 3
# Who takes longest begins first, so that nobody waits for it at the end.
LONGEST    := ./appliance/integration/... ./cmd/...
# Of the tests from outside those run under the race detector in which much
# happens at once; the others start hundreds of short commands.
AT_ONCE    := Killed|Stopping|Idle|Stalled|Conversations|WhoUses|Leaves|Guessing|Revoked|Mbsync|LMTP
# Hashing passwords takes ten times as long under the detector, and shares
# nothing that the rest could race for.
RACE       := -race -gcflags=golang.org/x/crypto/argon2=-race=false

export CGO_ENABLED := 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the one static binary at bin/pillarbox
	@$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/pillarbox

.PHONY: run
run: build ## Serve a sample office on this machine and tell how to connect (SAMPLE=folder)
	@exec $(BIN) serve --sample --data $(SAMPLE)

.PHONY: test
test: ## Run all tests
	$(GO) test -p 4 $(LONGEST) ./... # many of them wait for other programs

.PHONY: race
race: ## Run the tests under the race detector, with a server that is under it too (needs gcc)
	CGO_ENABLED=1 $(GO) build $(RACE) -o $(BIN)-race ./cmd/pillarbox
	CGO_ENABLED=1 GORACE=halt_on_error=1 PILLARBOX_BINARY=$(CURDIR)/$(BIN)-race \
		$(GO) test $(RACE) -short -p 4 -timeout 30m $$($(GO) list $(LONGEST) ./... | grep -v -e /images -e /bench -e /buildroot -e /house -e /cmd/ -e /integration/doctor -e '/integration$$')
	CGO_ENABLED=1 GORACE=halt_on_error=1 PILLARBOX_BINARY=$(CURDIR)/$(BIN)-race \
		$(GO) test $(RACE) -short -timeout 30m -run '$(AT_ONCE)' ./appliance/integration

.PHONY: bench
bench: ## Measure (BENCH=pattern, BENCHTIME=time)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...

.PHONY: bench-peers
bench-peers: ## Measure beside Dovecot, which it installs on Debian (PEERS=rounds, PILLARBOX_PEERS_ONLY=pattern)
	@if command -v apt-get >/dev/null; then .ci/install dovecot-imapd dovecot-lmtpd; fi
	PILLARBOX_PEERS=$(PEERS) $(GO) test -count=1 -timeout 30m -v -run TestPeers ./appliance/integration/bench

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: pages
pages: ## Open every page with Chromium, have axe-core look at it, and keep pictures in data/pages (minutes)
	@mkdir -p data/pages
	PILLARBOX_WEB=full PILLARBOX_SCREENSHOTS=$(CURDIR)/data/pages $(GO) test -count=1 -timeout 30m -v ./appliance/integration/web

.PHONY: lint
lint: ## Check the form of the sources
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted" >&2; exit 1; fi
	$(GO) vet ./...

.PHONY: image
image: ## Build a firmware image at bin/IMAGE.img (IMAGE=qemu-amd64, pc-amd64, qemu-arm64, rpi-arm64)
	@mkdir -p bin
	$(GO) run ./cmd/mkimage build -i $(IMAGE) -o bin/$(IMAGE).img --compress

.PHONY: qemu
qemu: image ## Boot a firmware image under QEMU, with a disk of its own that stays
	@mkdir -p data/$(IMAGE)
	$(GO) run ./cmd/mkimage run -i $(IMAGE) --from bin/$(IMAGE).img --disk data/$(IMAGE)/disk.img

.PHONY: image-test
image-test: ## Boot every image under QEMU: log-in, mail, restart, power cut, damage (long)
	PILLARBOX_IMAGE_TEST=all $(GO) test -timeout 90m -v ./images

.PHONY: image-test-short
image-test-short: ## Build and boot the qemu-amd64 image: log-in, mail, restart, a power cut, firewall (minutes)
	PILLARBOX_IMAGE_TEST=qemu-amd64 PILLARBOX_POWER_CUTS=1 $(GO) test -count=1 -short -parallel 3 -timeout 60m -v -run 'Sound|Outlives|Acknowledged|FirmwaresKernel' ./images

.PHONY: powercut
powercut: ## Cut the power of a box under load CUTS times (long; PILLARBOX_SEED=number to repeat)
	PILLARBOX_IMAGE_TEST=qemu-amd64 PILLARBOX_POWER_CUTS=$(CUTS) $(GO) test -timeout 600m -v -run Acknowledged ./images

.PHONY: soak
soak: ## Kill storage and server 200 times each, import 200,000 messages, fail every call to the disk, play 50,000 commands, scan TLS, break mail servers, fuzz for SOAKTIME each (hours)
	PILLARBOX_KILLS=200 PILLARBOX_FAULTS=all $(GO) test -timeout 180m -v -run 'TestKilledAtAnyMoment|TestEveryCallFails|TestPowerCutAnywhere' ./storage
	PILLARBOX_KILLS=200 PILLARBOX_MODEL_STEPS=50000 $(GO) test -timeout 180m -v -run 'TestKilledAtAnyMoment|TestServerAndModelAgree' ./appliance/integration ./appliance/integration/model
	PILLARBOX_IMPORT=200000 $(GO) test -timeout 180m -v -run TestImportStaysSmall ./appliance/integration/bench
	$(MAKE) tls-test doctor-test
	@FUZZTIME=$(SOAKTIME) .ci/fuzz

.PHONY: doctor-test
doctor-test: ## Break Dovecot, Cyrus, Postfix and others in every way that the doctor knows (minutes; root)
	PILLARBOX_DOCTOR=full $(GO) test -count=1 -timeout 60m ./appliance/integration/doctor

.PHONY: tls-test
tls-test: ## Have testssl.sh look at everything on both ports under both TLS policies (a quarter of an hour)
	PILLARBOX_TESTSSL=full $(GO) test -count=1 -timeout 60m -v -run TestScannersFindNothing ./appliance/integration

.PHONY: move-test
move-test: ## Move 10,000 messages in from and out to Dovecot and Cyrus beside mbsync, 200,000 from a stand-in, and kill the server 20 times meanwhile (minutes; root)
	PILLARBOX_MOVE_MEMORY=200000 PILLARBOX_MOVE_FULL=10000 PILLARBOX_MOVE=3000 PILLARBOX_KILLS=20 $(GO) test -count=1 -timeout 60m -v ./appliance/integration/moving
	PILLARBOX_MOVE_MANY=200000 $(GO) test -count=1 -timeout 30m -v -run TestManyMessages ./appliance/importer

.PHONY: clean
clean: ## Remove what was built, and the sample office
	rm -rf bin $(SAMPLE)
