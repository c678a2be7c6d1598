# Run "make" for the list of commands. Only Go, make, git and a POSIX shell are needed.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Flags for go test, such as -v or -run NAME; and for the benchmark, such as --canaries 50.
TEST_FLAGS ?=
ARGS ?=

GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"
TOOL     := go tool -modfile=tools/go.mod

# The linter takes minutes to build, so it is kept, by version.
LINT_VERSION := $(shell sed -n 's|^.*github.com/golangci/golangci-lint/v2 \(v[^ ]*\).*$$|\1|p' tools/go.mod)
LINT         := bin/golangci-lint-$(LINT_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/headway and bin/kubectl-rollouts.
	$(GO_BUILD) -o bin/headway ./cmd/headway
	$(GO_BUILD) -o bin/kubectl-rollouts ./cmd/kubectl-rollouts

.PHONY: test
test: parts ## Run all tests. The first run builds a Kubernetes control plane, which takes minutes.
	go test -timeout 30m $(TEST_FLAGS) ./...

# The tests need these built. go test would hide how far a build within a test is.
.PHONY: parts
parts:
	go run ./test/kube/cmd/cluster --build

.PHONY: test-traffic
test-traffic: parts ## Send live requests through rollouts. Linux with namespaces; the first run builds Traefik, which takes minutes.
	go run ./test/traffic/cmd/parts
	HEADWAY_TRAFFIC=1 go test -count=1 -timeout 20m $(TEST_FLAGS) ./test/traffic

.PHONY: test-istio
test-istio: ## Ask istiod what it makes of the Istio router's objects. The first run builds istiod, which takes minutes.
	cd test/istio && GOWORK=off go test -p 2 -count=1 -timeout 20m $(TEST_FLAGS) ./...

.PHONY: test-long
test-long: parts ## Run all tests with many more random histories, then every fuzz test for a minute.
	HEADWAY_LONG=1 go test -timeout 120m $(TEST_FLAGS) ./...
	@set -e; for package in $$(go list ./...); do \
		for fuzz in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "go test -run '^$$' -fuzz '^$$fuzz$$' -fuzztime 60s $$package"; \
			go test -run '^$$' -fuzz "^$$fuzz\$$" -fuzztime 60s $$package; \
		done; \
	done

.PHONY: lint
lint: $(LINT) ## Check style, sizes and import rules.
	$(LINT) run --allow-parallel-runners ./...

.PHONY: linter
linter: $(LINT)
	@echo $(LINT)

.PHONY: format
format: $(LINT) ## Format all Go files.
	$(LINT) fmt ./...

.PHONY: generate
generate: ## Write the generated code and the CustomResourceDefinitions again.
	$(TOOL) controller-gen object paths=./apis/...
	$(TOOL) controller-gen crd:allowDangerousTypes=true,generateEmbeddedObjectMeta=false paths=./apis/... output:crd:artifacts:config=config/crd

# A list of all files that git knows or would add, with their contents' sums.
SUMS = git ls-files --cached --others --exclude-standard -z | xargs -0 sha256sum 2>/dev/null | sort -k 2

.PHONY: verify
verify: ## Check that generate and format change nothing, then lint.
	@mkdir -p bin && ($(SUMS)) > bin/before.sums
	go mod tidy -diff
	@set -e; for module in test/istio test/traffic/app test/traffic/traefik; do (cd $$module && GOWORK=off go mod tidy -diff); done
	@$(MAKE) --no-print-directory generate format
	@($(SUMS)) > bin/after.sums
	@cmp -s bin/before.sums bin/after.sums || { \
		diff bin/before.sums bin/after.sums | awk '/^[<>]/ {print "changed: " $$3}' | sort -u >&2; \
		echo "These files were not as 'make generate format' writes them. Now they are: look at the difference and commit it." >&2; exit 1; }
	@$(MAKE) --no-print-directory lint
	@echo "verify: generated files are current, formatted and free of findings"

.PHONY: demo
demo: ## Tell the story of a good and a bad release on a local control plane.
	go run ./test/demo

.PHONY: cluster
cluster: ## Start a local Kubernetes control plane and print its kubeconfig.
	go run ./test/kube/cmd/cluster

.PHONY: bench
bench: ## Measure writes, latency, CPU and memory of the controller. Options in ARGS.
	go run ./test/bench $(ARGS)

.PHONY: clean
clean: ## Delete bin and the results of tests.
	rm -rf bin coverage.out

$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint $(LINT_VERSION), once"
	@mkdir -p bin
	go build -modfile=tools/go.mod -trimpath -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
