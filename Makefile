# isthmus: an LLM gateway that lives inside Envoy. `make help` lists the targets.

BIN    := bin
PORT   ?= 4000
CONFIG ?= examples/quickstart/config.yaml
TOOLS  := go tool -modfile=.ci/tools.mod
# The tag of the images: that which the Helm chart asks for, unless VERSION says another.
VERSION_OF_IMAGE = $(or $(VERSION),$(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' examples/helm/isthmus/Chart.yaml))

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binaries into bin/.
	go build -o $(BIN)/ ./cmd/isthmus ./examples/fakeprovider

.PHONY: run
run: build ## Start the gateway with a local provider: no key needed. PORT and CONFIG change it.
	@$(BIN)/fakeprovider --listen 127.0.0.1:0 -- $(BIN)/isthmus run --config $(CONFIG) --port $(PORT)

.PHONY: test
test: deps ## Run all tests that are exact, on real Envoys and a real Redis; say which were skipped, and why.
	@.ci/ring test

.PHONY: deps
deps: ## Fetch what the tests need and the machine lacks, with a line for each thing.
	@.ci/deps

.PHONY: lint
lint: ## Formatting, vet, staticcheck, error handling, comments, sizes, unreachable code, known vulnerabilities, as one gate.
	@out="$$(gofmt -l .)"; test -z "$$out" || { printf 'gofmt: these files are not formatted:\n%s\n' "$$out" >&2; exit 1; }
	go vet ./...
	$(TOOLS) staticcheck ./...
	$(TOOLS) go-errorlint ./...
	$(TOOLS) revive -config .ci/revive.toml ./...
	@out="$$($(TOOLS) deadcode -test ./...)"; test -z "$$out" || { printf 'deadcode: nothing calls these:\n%s\n' "$$out" >&2; exit 1; }
	@.ci/lines
	@.ci/changelog --check
	@.ci/vulncheck

.PHONY: vulncheck
vulncheck: ## Look for known vulnerabilities; fails too when the database cannot be asked.
	@VULNCHECK_REQUIRED=1 .ci/vulncheck

.PHONY: changelog
changelog: ## Print what docs/changes has; with VERSION=vX.Y.Z move it into CHANGELOG.md.
	@.ci/changelog $(VERSION)

.PHONY: sbom
sbom: build ## Write the bill of materials of bin/isthmus, and of its Envoys, to bin/sbom.json.
	@.ci/sbom $(BIN)/isthmus > $(BIN)/sbom.json

.PHONY: image
image: ## Build the images of the service, and of it with an Envoy, for amd64 and arm64, and push them as IMAGE:VERSION-serve and -run.
	@test -n '$(IMAGE)' || { echo 'say where to push to: make image IMAGE=registry.example.com/isthmus' >&2; exit 1; }
	for target in serve run; do \
		docker buildx build --platform linux/amd64,linux/arm64 --target $$target --tag '$(IMAGE)':$(VERSION_OF_IMAGE)-$$target \
			--build-arg VERSION=$(VERSION_OF_IMAGE) --build-arg REVISION="$$(git rev-parse HEAD)" \
			--sbom=true --provenance=mode=max --push . || exit 1; \
	done

.PHONY: charts
charts: ## Test the Helm chart, the kustomizations and the Dockerfile, with the libraries of Helm, kustomize, BuildKit and Kubernetes.
	@cd .ci/charts && go vet ./... && go test -count 1 ./...

.PHONY: bench
bench: ## Run the benchmarks of the hot functions.
	go test -run '^$$' -bench . -benchmem ./translate/... ./routing/... ./extproc/... ./cmd/...

.PHONY: compare
compare: ## Measure against LiteLLM's proxy and Envoy AI Gateway, which this installs.
	@.ci/compare

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s).
	@.ci/fuzz $(or $(FUZZTIME),10s)

.PHONY: soak
soak: deps build ## Judge times, memory and long runs; then load a real gateway for DURATION (10m), on ENVOY_VERSION.
	@.ci/ring soak
	@go build -o $(BIN)/ ./cmd/soak
	@$(BIN)/soak --duration $(or $(DURATION),10m) --isthmus $(BIN)/isthmus --envoy-version '$(ENVOY_VERSION)' $(SOAK)

.PHONY: chaos
chaos: deps ## Break one part of a loaded gateway: ROW of docs/reliability.md (all), for DURATION (60s), on ENVOY_VERSION.
	ISTHMUS_TEST_RING=soak go test -race ./cmd/gatewaytest/chaos -run 'TestSoakChaos$(if $(ROW),/^$(ROW)$$)' -count 1 -v -timeout 90m \
		-length $(or $(DURATION),60s) $(if $(ENVOY_VERSION),-envoy $(ENVOY_VERSION))

.PHONY: compat
compat: charts ## Test with the newest of what changes by itself: the SDKs of clients, LiteLLM's names. Fetches them every time. And charts.
	@.ci/deps compat
	@.ci/ring compat

.PHONY: fuzz-port
fuzz-port: ## Send random messages to the service's port without its secret for DURATION (60s): no key, no dialling, no growth, no panic.
	go test -race ./extproc -run 'TestAClientWithoutTheSecretGetsNothing|FuzzMessageOrder' -fuzzport $(or $(DURATION),60s) -v -count 1

.PHONY: simulate
simulate: ## Compare the routing strategies on a made-up fleet; redraw docs/routing.svg.
	go run ./routing/simulate -docs docs

.PHONY: golden
golden: ## Rewrite the golden files, and the tables of docs that are made from the code; read the diff.
	go test ./envoy ./cmd/cli ./cmd/gatewaytest/callbacks ./extproc/callback/langfuse ./extproc/metrics ./routing/config ./translate ./translate/litellm \
		-run 'Golden|EveryRequestOnce|SpansSayEverything|EveryMetricIsDocumented|TheProvidersDocument' -update

.PHONY: names
names: ## Take the names that LiteLLM reads from its newest release; then the tests say what lacks an answer.
	.ci/litellm-names

.PHONY: clean
clean: ## Remove what was built.
	rm -rf $(BIN)
