# GNU make 4.3 or later, bash, git and Go; a C compiler for tests with -race.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

GO ?= go
# Nested modules with Go code of our own; tools/* only pin other people's.
NESTED := $(patsubst %/go.mod,%,$(wildcard test/go.mod test/kubernetes/go.mod test/loki/go.mod drill/go.mod mixin/tests/go.mod))
PROGRAMS := $(notdir $(wildcard cmd/*))

# What is stamped into the programs comes from the commit alone, so that equal
# sources give equal programs.
VERSION ?= $(shell { git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo devel; } | sed 's/^v//')
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILD_DATE ?= $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y%m%d-%H:%M:%S 2>/dev/null || echo unknown)
EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
STAMP := github.com/prometheus/common/version
LDFLAGS ?= -s -w -X $(STAMP).Version=$(VERSION) -X $(STAMP).Revision=$(REVISION) -X $(STAMP).BuildDate=$(BUILD_DATE)

# Go turns cgo off by itself where it finds no C compiler.
RACE ?= $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)
UNITFLAGS ?= $(RACE) -shuffle=on
E2EFLAGS ?= -count=1 -timeout=20m
FUZZTIME ?= 20s
METRICSDOC ?= $(GO) run ./internal/metricsdoc/cmd/metricsdoc
ETCD_BINARIES ?= $(GO) -C test run ./cmd/etcd_binaries
BENCH ?= $(GO) -C test run ./bench
LISTEN ?= :10379
# Such as --after=10s --once; bin/etcd_demo --help lists them.
DEMO_FLAGS ?=

# What make dashboards draws: this Prometheus, so many seconds of it.
PROMETHEUS ?= http://127.0.0.1:9090
LOOKBACK ?= 600

# Leaves out gRPC transports of Google's storage client that we never use, and 13 MB.
TAGS ?= disable_grpc_modules

# The image: PROGRAM=etcd_remediator PORT=10380 makes the other one.
PROGRAM ?= etcd_exporter
PORT ?= 10379
IMAGE ?= localhost/$(PROGRAM):$(VERSION)
IMAGE_BUILD ?= buildah bud
IMAGE_FLAGS ?=

# Programs go to BIN; packages, for each of ARCHES, to dist/.
BIN ?= bin
ARCHES ?= amd64 arm64

# One module under tools/ for each tool, built to NAME-VERSION and kept.
TOOLS := $(abspath $(or $(ETCDOPS_TOOLS),.tools))/bin
tool = $(TOOLS)/$(1)-$(shell awk '$$1 == "tool" {t = $$2 "/"} t && index(t, $$1 "/") == 1 {print $$2}' tools/$(1)/go.mod)
GOLANGCI_LINT := $(call tool,golangci-lint)
GOTESTSUM := $(call tool,gotestsum)
ALERTMANAGER := $(call tool,alertmanager)
AMTOOL := $(call tool,amtool)
PROMETHEUS := $(call tool,prometheus)
PROMTOOL := $(call tool,promtool)
KUBE_APISERVER := $(call tool,kube-apiserver)
CONTROLLER_GEN := $(call tool,controller-gen)
JSONNET := $(call tool,jsonnet)
JSONNETFMT := $(call tool,jsonnetfmt)
JSONNET_LINT := $(call tool,jsonnet-lint)
NFPM := $(call tool,nfpm)
CYCLONEDX_GOMOD := $(call tool,cyclonedx-gomod)
PACKING := $(NFPM) $(CYCLONEDX_GOMOD)
# What tests and targets call beside Go.
BESIDE := $(ALERTMANAGER) $(AMTOOL) $(PROMETHEUS) $(PROMTOOL) $(JSONNET)
MIXIN = $(shell find mixin -name '*.jsonnet' -o -name '*.libsonnet')
# One run, one count, however many modules.
TEST := $(GOTESTSUM) --format=pkgname --format-hide-empty-pkg --raw-command -- tools/go_test.sh

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(PROGRAMS:%=$(BIN)/%) $(BIN)/etcd_restore_drill ## Build every program under cmd/, and the restore drill, into BIN (bin/).

.PHONY: demo
demo: bin/etcd_exporter bin/etcd_remediator bin/etcd_demo $(BESIDE) ## The whole loop to watch: etcd breaks, alerts fire, the remediator acts; Ctrl-C stops all.
	@exec bin/etcd_demo --root=. $(DEMO_FLAGS)

bin/etcd_lab bin/etcd_demo: FORCE
	$(GO) -C test build -o ../$@ ./cmd/$(@F)

$(BIN)/etcd_restore_drill: FORCE
	CGO_ENABLED=0 $(GO) -C drill build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o ../$@ ./cmd/$(@F)

$(BIN)/%: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

.PHONY: run
run: bin/etcd_exporter bin/etcd_lab ## Three etcd members over mTLS and the exporter on LISTEN (:10379); Ctrl-C stops all.
	@exec bin/etcd_lab --members=3 --keys=2000 --events=5000 --exporter=$(LISTEN) -- bin/etcd_exporter --config.file={config} --web.listen-address=$(LISTEN)

.PHONY: first-scrape
first-scrape: ## Time from git clone to the first scrape, as a new user has it (with empty caches: COLD=1).
	@tools/first_scrape.sh $(if $(COLD),--cold)

.PHONY: test
test: lint check build etcd-binaries race $(GOTESTSUM) $(BESIDE) $(PACKING) ## Everything that CI runs; the last line counts the tests.
	@$(TEST) '. $(UNITFLAGS) ./...' 'mixin/tests -count=1 -shuffle=on ./...' 'test $(E2EFLAGS) ./...' 'test/kubernetes $(E2EFLAGS) ./...' 'test/loki $(E2EFLAGS) ./...' 'drill $(E2EFLAGS) ./...'

.PHONY: unit
unit: race $(GOTESTSUM) ## The tests of the root module and of the mixin.
	@$(TEST) '. $(UNITFLAGS) ./...' 'mixin/tests -count=1 -shuffle=on ./...'

.PHONY: e2e
e2e: build etcd-binaries $(GOTESTSUM) $(BESIDE) $(PACKING) ## The tests on real etcd (one of them: E2EFLAGS=-run=TestName).
	@$(TEST) 'test $(E2EFLAGS) ./...' 'test/kubernetes $(E2EFLAGS) ./...' 'test/loki $(E2EFLAGS) ./...' 'drill $(E2EFLAGS) ./...'

.PHONY: e2e-kubernetes
e2e-kubernetes: etcd-binaries $(KUBE_APISERVER) $(CONTROLLER_GEN) ## What deploy/ has for Kubernetes, under a real API server on real etcd (6 minutes, and 6 to build it).
	$(GO) -C test/kubernetes test -tags slow -count=1 -timeout=30m -v -run TestAPIServer .

.PHONY: gallery
gallery: build etcd-binaries $(BESIDE) ## Faults on a real cluster, and the alerts that must tell of them (12 minutes); then make generate writes docs/alerts.md.
	$(GO) -C test test -tags slow -count=1 -timeout=45m -v -run TestGallery ./gallery

.PHONY: soak
soak: build etcd-binaries $(BESIDE) ## A healthy cluster under load, on which no alert may fire (20 minutes).
	$(GO) -C test test -tags slow -count=1 -timeout=45m -v -run TestSoak ./gallery

.PHONY: handbook
handbook: etcd-binaries ## Run the commands of docs/operations, with all that they print (one page: PAGE=NAME).
	$(GO) -C test test -count=1 -v -run 'TestHandbook$(if $(PAGE),/pages/$(PAGE))' ./operations

.PHONY: dashboards
dashboards: ## Pictures of every dashboard into docs/dashboards/, of PROMETHEUS (http://...), by Grafana's own components; wants Node and Chromium.
	@cd tools/dashboards && { [ -d node_modules ] || npm install; } && npx vite build --logLevel=error
	@node tools/dashboards/look.mjs '$(PROMETHEUS)' docs/dashboards $(LOOKBACK)

.PHONY: race
race:
	@$(if $(RACE),:,echo 'No C compiler: the tests run without -race.')

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Lint every module, and show that the exporter links nothing that changes etcd.
	@for module in . $(NESTED); do (cd $$module && $(GOLANGCI_LINT) run ./...); done
	@deps=$$($(GO) list -deps ./cmd/etcd_exporter); \
	if grep -E '/(remediate|internal/etcd/mutate)(/|$$)' <<<"$$deps"; then echo 'etcd_exporter links code that changes etcd'; exit 1; fi

.PHONY: fmt
fmt: $(GOLANGCI_LINT) $(JSONNETFMT) ## Format the Go files of every module, and the mixin.
	@$(JSONNETFMT) -i $(MIXIN)
	@for module in . $(NESTED); do (cd $$module && $(GOLANGCI_LINT) fmt ./...); done

.PHONY: generate
generate: $(JSONNET) ## Write docs/metrics.md from the programs' tables; alerts/, dashboards/, docs/alerts.md and deploy/prometheus-operator/ from mixin/.
	@mkdir -p docs alerts/loki dashboards deploy/prometheus-operator/remediation
	$(METRICSDOC) >docs/metrics.md.new
	@mv docs/metrics.md.new docs/metrics.md
	@rm -f alerts/{,loki/}*.yaml dashboards/*.json deploy/prometheus-operator/{,remediation/}*.yaml
	@$(JSONNET) -S -m . mixin/render.jsonnet >/dev/null

.PHONY: check
check: check-generated check-mixin ## Fail when something generated is stale, or the mixin or its rules are not well made.

.PHONY: check-generated
check-generated: $(JSONNET)
	@$(METRICSDOC) | diff -u docs/metrics.md - || { echo 'docs/metrics.md is stale: run make generate'; exit 1; }
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(JSONNET) -c -S -m "$$fresh" mixin/render.jsonnet >/dev/null; \
	for kind in 'alerts *.yaml' 'alerts/loki *.yaml' 'dashboards *.json' 'docs alerts.md' 'deploy/prometheus-operator *.yaml' 'deploy/prometheus-operator/remediation *.yaml'; do \
		read -r dir names <<<"$$kind"; \
		diff -u --label committed --label rendered <(cd $$dir && tail -n +1 $$names) <(cd "$$fresh/$$dir" && tail -n +1 $$names) || { echo "$$dir/ is stale: run make generate"; exit 1; }; \
	done

.PHONY: check-mixin
check-mixin: $(JSONNETFMT) $(JSONNET_LINT) $(PROMTOOL)
	@$(JSONNETFMT) --test $(MIXIN) || { echo 'not as jsonnetfmt has it: run make fmt'; exit 1; }
	@$(JSONNET_LINT) $(MIXIN)
	@$(PROMTOOL) check rules --lint=all --lint-fatal alerts/*.yaml >/dev/null
	@$(PROMTOOL) test rules mixin/tests/*.yaml >/dev/null

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (20s).
	@grep -roE '^func Fuzz\w*' --include='*_test.go' $(wildcard cmd collector internal remediate) | while IFS=: read -r file target; do \
		$(GO) test -run='^$$' -fuzz="^$${target#func }$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=20x "./$$(dirname "$$file")" </dev/null; \
	done

.PHONY: bench
bench: build etcd-binaries ## The measurements of docs/benchmarks.md.
	$(BENCH)

.PHONY: image
image: ## Build PROGRAM's container image (IMAGE_BUILD='docker build' for Docker).
	$(IMAGE_BUILD) $(IMAGE_FLAGS) --build-arg PROGRAM=$(PROGRAM) --build-arg PORT=$(PORT) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$(REVISION) --build-arg BUILD_DATE=$(BUILD_DATE) -t $(IMAGE) .

.PHONY: image-scratch
image-scratch: bin/$(PROGRAM) ## The same from scratch and bin/PROGRAM, where no image can be pulled.
	@$(MAKE) image IMAGE_FLAGS='$(IMAGE_FLAGS) --target prebuilt --build-arg BASE=scratch'

.PHONY: packages
packages: $(PACKING) ## .deb, .rpm and a bill of materials (CycloneDX) of every program, for ARCHES (amd64 arm64), in dist/.
	@rm -rf dist
	@for arch in $(ARCHES); do \
		GOOS=linux GOARCH=$$arch $(MAKE) --no-print-directory build BIN=dist/linux_$$arch; \
		NFPM=$(NFPM) CYCLONEDX_GOMOD=$(CYCLONEDX_GOMOD) VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(EPOCH) \
			tools/package.sh $$arch dist/linux_$$arch dist $(PROGRAMS) etcd_restore_drill; \
	done
	@cd dist && LC_ALL=C sh -c 'sha256sum */* *.* >SHA256SUMS' && cat SHA256SUMS

.PHONY: reproducible
reproducible: $(PACKING) ## Build the last commit's packages in two clones, one with an empty cache, and compare every byte (10 minutes).
	@ETCDOPS_TOOLS=$(patsubst %/bin,%,$(TOOLS)) tools/reproducible.sh $(ARCHES)

.PHONY: tools
tools: $(GOLANGCI_LINT) $(GOTESTSUM) $(BESIDE) $(PACKING) $(JSONNETFMT) $(JSONNET_LINT) ## Build the pinned tools into .tools/.

$(TOOLS)/%:
	@echo 'Building $(@F); the first time takes a while.'
	@name='$(@F)'; CGO_ENABLED=0 $(GO) -C "tools/$${name%-v*}" build -trimpath -ldflags=-s -o '$@' tool

.PHONY: etcd-binaries
etcd-binaries: ## Make the etcd versions that the tests want, ahead of them, in .tools/.
	@$(ETCD_BINARIES) || echo 'Not every etcd version could be made: the tests that want one will say so.'

.PHONY: clean
clean: ## Remove bin/ and dist/; .tools/ stays.
	rm -rf bin dist

.PHONY: FORCE
FORCE:
