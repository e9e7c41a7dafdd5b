# Every target runs on its own; `make help` lists them.
PREFIX  ?= /usr/local
BIN     ?= bin
FUZZTIME ?= 20s
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION) -X main.buildCommit=$(COMMIT)
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SHELLS  := scripts/setup scripts/peers scripts/results scripts/ci/gate \
	scripts/fleet/measure scripts/fleet/slurm scripts/fleet/collect scripts/fleet/try-slurm \
	scripts/oci/suite scripts/oci/one scripts/oci/engines scripts/fuzz scripts/arm64/run.sh \
	scripts/vm/run.sh scripts/vm/image scripts/vm/root scripts/vm/inside scripts/vm/results .ci/run
export CGO_ENABLED = 0

# A program that is written at once, as neither the linker nor install does it: the
# page cache then has it in large pages (ext4 since Linux 6.16, XFS, btrfs), of which
# one maps most of its text, and one most of what is read only (-R has each of the
# two begin in a page of its own). A start of isorun takes 2 to 8 % longer otherwise.
whole = dd if=$(1) of=$(2).new bs=64M status=none && chmod 755 $(2).new && mv $(2).new $(2)

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t16

build: ## bin/isoperf and bin/isorun, static
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/isoperf
	go build -trimpath -ldflags '-s -w -X main.buildVersion=$(VERSION) -R 0x200000 -E isoperf/runtime/program/inherit.entry' -o $(BIN)/ ./cmd/isorun
	@$(call whole,$(BIN)/isorun,$(BIN)/isorun)

bench: build ## the main job: what a namespace costs here, in half a minute
	bin/isoperf bench

test: ## every test; installs what they need first
	scripts/setup
	go test -p 1 -timeout 20m ./...
	CGO_ENABLED=1 go test -p 1 -timeout 20m -race -short ./runtime/... ./bench/harness ./bench/sample

lint: ## gofmt, vet, golangci-lint (with the arrows of imports), shellcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	go run $(LINT) run
	shellcheck $(SHELLS)

manifests: ## scripts/fleet's, as the API server checks them (builds its code: some minutes, once)
	cd scripts/fleet/validate && go vet . && go run . ../job.yaml ../daemonset.yaml

yardstick: ## the engine against the same system calls in C (gcc)
	go run ./bench/yardstick

bench-start: build ## isorun's start, where its time goes, the other runtimes (scripts/peers), and C
	bin/isoperf bench startup --time 5m
	go run ./bench/yardstick/startup

bench-oci: build ## isorun's create, start and delete beside crun's and runc's (scripts/peers)
	go run ./bench/yardstick/oci

agree: build ## our clock against hyperfine's, runtime by runtime (scripts/peers)
	go run ./bench/yardstick/outside

agree-network: ## what our ends carry against iperf3, path by path (scripts/peers)
	go run ./bench/yardstick/wire

test-arm64: ## the engine's tests on an emulated arm64 machine
	scripts/arm64/run.sh

test-vm: ## tests on an emulated machine with cgroup v2 and systemd, then with v1 (scripts/vm)
	scripts/setup vm
	scripts/vm/run.sh
	scripts/vm/run.sh -g v1

test-oci: build ## the OCI's validation suite, isorun beside runc; scripts/oci/README.md has what fails, and why
	scripts/oci/suite

test-oci-vm: ## the same in the emulated machine with cgroup v2 alone (scripts/vm), with its runc; half an hour
	scripts/setup vm
	scripts/oci/suite -m -v

test-engines: build ## podman, rootful and rootless, and containerd with isorun as their runtime
	scripts/oci/engines

fuzz: ## every fuzz target, each for FUZZTIME
	scripts/fuzz $(FUZZTIME)

test-long: build ## the hours: 20,000 containers with kills, the suite here and with cgroup v2, engines, and fuzzing of 10 minutes each
	ISOPERF_SOAK=20000 go test -count=1 -timeout 60m -v -run TestSoak ./cmd/isorun
	scripts/oci/suite
	scripts/setup vm
	scripts/oci/suite -m -v
	scripts/oci/engines
	scripts/fuzz 10m

results: build ## families without a complete file in results/v1 (all: 90 minutes), then RESULTS.md and its pictures
	scripts/results

results-vm: ## limits on cgroup v2, and paths to a far peer, in the emulated machine, for the same page
	scripts/vm/results

clean: ## remove what make made
	rm -rf bin

install: build ## binaries, man pages and shell completion under PREFIX
	install -D -t $(DESTDIR)$(PREFIX)/bin bin/isoperf bin/isorun
	@$(call whole,bin/isorun,$(DESTDIR)$(PREFIX)/bin/isorun)
	bin/isoperf man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	bin/isoperf completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/isoperf
	bin/isoperf completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_isoperf
	bin/isoperf completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/isoperf.fish

.PHONY: help build bench test lint manifests yardstick bench-start bench-oci agree agree-network test-arm64 test-vm test-oci test-oci-vm test-engines fuzz test-long results results-vm clean install
