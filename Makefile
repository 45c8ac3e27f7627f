# Everything that people and CI run. `make help` lists it.

GO      ?= go
BIN     := bin/throng
TOOLS   := bin/tools
# Lint and generators are pinned in a module of their own.
LINT    := $(TOOLS)/golangci-lint
# The players' page and the TypeScript client; their tools are pinned in package-lock.json.
NODE_MODULES := node_modules/.package-lock.json
ADDR    ?= 127.0.0.1:7700
DATA    ?= ./data
PKGS    ?= ./...

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/throng
	$(GO) build -trimpath -o $(BIN) ./cmd/throng

.PHONY: run
run: build ## start the whole platform at http://127.0.0.1:7700 (ADDR, DATA)
	@exec $(BIN) dev --addr $(ADDR) --data $(DATA)

.PHONY: test
test: test-web ## all tests, with the race detector, in random order
	scripts/setup.sh cc:gcc,libc6-dev
	@scripts/setup.sh redis-server:redis-server || echo "NO TESTS with a real Redis: there is no redis-server" >&2
	@scripts/setup.sh ip:iproute2 || echo "NO TESTS of a network that is cut: there is no ip" >&2
	$(GO) vet $(PKGS)
	GO=$(GO) scripts/test.sh -race -shuffle=on -timeout 20m $(PKGS)
	GO=$(GO) scripts/test.sh -run 'TestReplicas|TestStatedWaits$$' -timeout 10m ./match

.PHONY: test-web
ifeq ($(shell command -v npm),)
test-web:
	@echo "NO TESTS of the TypeScript client and of the page: there is no npm" >&2
else
test-web: $(NODE_MODULES) ## the tests of the TypeScript client and the types of the page
	@scripts/setup.sh chromium:chromium || echo "NO BROWSER TESTS of the page: there is no chromium" >&2
	npm run -s test -w sdk/ts
	npm run -s check -w play
endif

# npm writes the file itself.
$(NODE_MODULES): package.json package-lock.json sdk/ts/package.json play/package.json
	npm ci --no-fund --no-audit
	@touch $@

.PHONY: soak
soak: ## the long forms of the tests (SOAK multiplies their length)
	scripts/soak.sh $${SOAK:-1}

.PHONY: sim
sim: ## play SIM small worlds (default 100,000) from seed SIM_FROM: docs/simulation.md
	scripts/sim.sh $${SIM:-100000} $${SIM_FROM:-1000000}

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (default 30s)
	scripts/fuzz.sh $${FUZZTIME:-30s}

.PHONY: bench
bench: ## the benchmarks behind docs/benchmarks.md
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 0.5s $(PKGS)
	$(GO) test -run '^$$' -bench JoinToFirstSnapshot -benchtime 300x -count 5 ./cmd/throng

.PHONY: lint
lint: $(LINT) $(NODE_MODULES) ## linters, formatting, module files, generated files
	$(LINT) run $(PKGS)
	$(GO) mod tidy -diff
	scripts/check-generated.sh

$(LINT): tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	$(GO) build -modfile=tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: generate
generate: $(NODE_MODULES) ## write the generated files anew
	$(GO) generate ./...
	npm run -s generate -w sdk/ts
	npm run -s build -w play

.PHONY: clean
clean: ## remove what was built
	rm -rf bin node_modules sdk/ts/build sdk/ts/dist
