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
# What has tests on a real Kubernetes.
CLUSTER_PKGS ?= $(patsubst %,./%/...,$(wildcard test agones deploy))
# The image's name, tag and machine.
IMAGE   ?= throng
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ARCH    ?= $(shell $(GO) env GOARCH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/throng, and bin/throng-gameserver, which it starts
	$(GO) build -trimpath -o $(dir $(BIN)) ./cmd/throng ./cmd/throng-gameserver

.PHONY: run
run: build ## start the whole platform at http://127.0.0.1:7700 (ADDR, DATA)
	@exec $(BIN) dev --addr $(ADDR) --data $(DATA)

.PHONY: test
test: test-web ## all tests, in random order, with the race detector but for whole platforms
	scripts/setup.sh cc:gcc,libc6-dev
	@scripts/setup.sh redis-server:redis-server || echo "NO TESTS with a real Redis: there is no redis-server" >&2
	@scripts/setup.sh dig:bind9-dnsutils || echo "NO TESTS of DNS with dig: there is no dig" >&2
	@scripts/setup.sh ip:iproute2 iptables:iptables || echo "NO TESTS of networks that are cut: there is no ip, or no iptables" >&2
	@scripts/setup.sh tshark:tshark || echo "NO TESTS of what is on the wire: there is no tshark" >&2
	@scripts/jars.sh kafka >/dev/null || echo "NO TESTS on a real Kafka: it was not fetched" >&2
	@GO=$(GO) scripts/versitygw-build.sh >/dev/null || echo "NO TESTS on a real S3: versitygw was not built" >&2
	@echo "NO TESTS on a real Kubernetes: make test-cluster has them" >&2
	$(GO) vet $(PKGS)
	@# What takes longest comes first. Last, by themselves, whole platforms of many processes, whose crowds of bots want
	@# the cores: without the race detector, but for TestRacePlatform (make soak has all of them with it).
	@export GO=$(GO) THRONG_CLUSTER_BIN=; failed=0; all=$$($(GO) list $(PKGS)) || exit 1; \
	slow='/(redis|sim|match|dynamo)$$'; \
	rest=$$(echo "$$all" | grep -E "$$slow"; echo "$$all" | grep -vE "$$slow|/cmd/throng$$"); whole=$$(echo "$$all" | grep '/cmd/throng$$'); \
	[ -z "$$rest" ] || scripts/test.sh -race -shuffle=on -timeout 20m $$rest || failed=1; \
	[ -z "$$whole" ] || scripts/test.sh -shuffle=on -timeout 25m $$whole || failed=1; \
	exit $$failed
	@# What skips itself with the race detector.
	GO=$(GO) scripts/test.sh -run 'TestReplicas|TestStatedWaits$$|TestGuards$$' -timeout 15m ./match ./redis

.PHONY: test-web
ifeq ($(shell command -v npm),)
test-web:
	@echo "NO TESTS of the TypeScript client and of the page: there is no npm" >&2
else
test-web: $(NODE_MODULES) ## the tests of the TypeScript client and the types of the page
	@scripts/setup.sh chromium:chromium || echo "NO BROWSER TESTS of the page: there is no chromium" >&2
	npm run -s test -w sdk/ts
	npm run -s check -w play
	npm run -s test -w examples/engine-ts
endif

# npm writes the file itself.
$(NODE_MODULES): package.json package-lock.json sdk/ts/package.json play/package.json examples/engine-ts/package.json
	npm ci --no-fund --no-audit
	@touch $@

.PHONY: cluster
cluster: ## build a Kubernetes for tests, once (10 minutes), and print where it is
	@GO=$(GO) scripts/cluster-build.sh

# Containers and their network; what needs them skips itself where they can't be installed.
CONTAINERS := containerd:containerd ctr:containerd runc:runc iptables:iptables conntrack:conntrack ip:iproute2 \
	/usr/lib/cni/bridge:containernetworking-plugins

.PHONY: test-cluster
test-cluster: ## the tests on a real Kubernetes, with real pods where there is root
	scripts/setup.sh cc:gcc,libc6-dev
	@scripts/setup.sh $(CONTAINERS) || echo "NO TESTS with real pods: there is no containerd" >&2
	THRONG_CLUSTER_BIN=$$(GO=$(GO) scripts/cluster-build.sh) && export THRONG_CLUSTER_BIN && \
		GO=$(GO) scripts/test.sh -race -shuffle=on -count 1 -p 1 -timeout 20m $(CLUSTER_PKGS) && \
		GO=$(GO) scripts/test.sh -count 1 -run 'TestInstall$$|TestClusterCut|TestIdleControlPlane|OnCluster$$' -timeout 15m ./cmd/throng

.PHONY: test-agones
test-agones: ## the suite on a cluster with a real Agones: KUBECONFIG=..., THRONG_IMAGE=..., NAMESPACE=... (test/suite/doc.go)
	THRONG_CLUSTER_BIN=$$(GO=$(GO) scripts/cluster-build.sh) THRONG_KUBECONFIG=$(abspath $(KUBECONFIG)) THRONG_NAMESPACE=$(NAMESPACE) \
		$(GO) test -count 1 -timeout 30m -v ./test/suite

.PHONY: cluster-up
cluster-up: ## start a Kubernetes with a real node on this machine (root) and say how to use it
	@scripts/setup.sh $(CONTAINERS)
	@THRONG_CLUSTER_BIN=$$(GO=$(GO) scripts/cluster-build.sh) && export THRONG_CLUSTER_BIN && $(GO) run ./test/lab/cmd/lab up $(UP)

.PHONY: cluster-down
cluster-down: ## end it, with all that runs in it
	@$(GO) run ./test/lab/cmd/lab down

.PHONY: images
images: ## write dist/images/throng-VERSION.tar, for ctr images import or docker load
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) $(GO) build -trimpath -ldflags '-s -w' -o dist/linux-$(ARCH)/ ./cmd/throng ./cmd/throng-gameserver
	$(GO) run ./deploy/image/mkimage -o dist/images/throng-$(VERSION).tar -name $(IMAGE):$(VERSION) -arch $(ARCH) \
		/throng=dist/linux-$(ARCH)/throng /throng-gameserver=dist/linux-$(ARCH)/throng-gameserver
	@echo "$(IMAGE):$(VERSION) is in dist/images/throng-$(VERSION).tar"

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
	rm -rf bin dist node_modules sdk/ts/build sdk/ts/dist
