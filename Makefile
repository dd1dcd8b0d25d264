# make test is everything CI does; the rest are its parts and what is run by hand.

GO          ?= go
BIN         := $(CURDIR)/bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

CHROMIUM    ?= /usr/bin/chromium
# npm ci leaves this file; it is as new as what is installed.
PACKAGES    := web/node_modules/.package-lock.json

.PHONY: build web test tools check generated web-check stories unit long engine crash power cluster-test shots web-bench demonstration generate clean

build:
	$(GO) build -o $(BIN)/parley ./cmd/parley

# What CI runs, in the order in which it fails soonest.
test: tools check generated web-check stories unit long engine crash

# What make test needs; staticcheck is fetched and built by Go itself, at a
# pinned version.
tools:
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' || { echo "make test needs Node 20.19 or newer with npm: https://nodejs.org"; exit 1; }
	@test -x $(CHROMIUM) || { echo "make test needs Chromium (Debian package chromium), or CHROMIUM=PATH"; exit 1; }
	@$(GO) version >/dev/null 2>&1 || { echo "make test needs Go 1.26 or newer: https://go.dev/dl"; exit 1; }
	@test -x $(BIN)/staticcheck && $(BIN)/staticcheck -version | grep -q 0.8.2 || GOBIN=$(BIN) $(GO) install $(STATICCHECK)

check:
	$(GO) build ./...
	$(GO) vet ./...
	$(BIN)/staticcheck ./...
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; \
	  test -z "$$unformatted" || { echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; }

# Generated files must be what their generators write now; make generate mends.
generated:
	$(GO) test -count=1 -run TestFilesAreFresh ./wire/gen

# The web app is committed as built, so that building the server needs no Node.
web: $(PACKAGES)
	cd web && npx vite build --logLevel warn

$(PACKAGES): web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

# Types, arrows, models and screens in Node, and that what is committed is what
# the source gives.
web-check: $(PACKAGES)
	cd web && npx svelte-check --tsconfig ./tsconfig.json --fail-on-warnings --output human
	cd web && PARLEY_T2=20000 npx vitest run
	@fresh="$$(mktemp -d)"; trap 'rm -rf "$$fresh"' EXIT; \
	  (cd web && npx vite build --logLevel warn --emptyOutDir --outDir "$$fresh/dist") && diff -r "$$fresh/dist" web/dist >/dev/null || \
	  { echo "web/dist is stale: run make web and commit the result"; exit 1; }

# People at the web app of the real binary, in a real Chromium.
stories: $(PACKAGES) build
	cd web && PARLEY_BIN=$(BIN)/parley CHROMIUM=$(CHROMIUM) npx vitest run --config stories/vitest.config.ts

# The pictures in the README, and the figures in docs/bench/web.md.
shots: $(PACKAGES) build
	cd web && PARLEY_BIN=$(BIN)/parley CHROMIUM=$(CHROMIUM) npx vitest run --config stories/tools.config.ts shots

web-bench: $(PACKAGES) build
	cd web && PARLEY_BIN=$(BIN)/parley CHROMIUM=$(CHROMIUM) npx vitest run --config stories/tools.config.ts bench

# Two browsers and a terminal replay a real hour, and one goes through a tunnel.
demonstration: $(PACKAGES) build
	cd web && PARLEY_BIN=$(BIN)/parley CHROMIUM=$(CHROMIUM) npx vitest run --config stories/tools.config.ts demonstration

generate:
	$(GO) generate ./...

# Everything but what starts real processes, with the race detector.
unit:
	$(GO) test -race -shuffle=on -timeout 20m $$($(GO) list ./... | grep -v -e internal/sim/torment -e internal/store/cassandra)

# Worlds and crashes at their full figures: the race detector, under which unit
# ran a part of them, slows them down eightfold.
long:
	$(GO) test -shuffle=on -timeout 15m -count=1 ./internal/sim ./internal/store/pebblestore

# The engine on a real Cassandra of one node, which needs Java 17 and Maven.
# Nothing runs beside it: what is measured against a deadline needs the machine.
engine:
	$(GO) test -race -shuffle=on -timeout 15m -count=1 ./internal/store/cassandra/...

# The real binary, killed again and again. Without the race detector: the
# processes under test are what a release is.
crash:
	$(GO) test -shuffle=on -timeout 15m ./internal/sim/torment/...

# Power cuts and full disks under the real binary: needs root, loop devices,
# mkfs.ext4 and mount, and fails without them.
power:
	$(GO) test -tags power -timeout 15m -count=1 ./internal/sim/torment

# Three nodes over three Cassandra nodes, killed, frozen and cut off, and the
# engine on three; needs some 10 GB of memory, and about 15 minutes.
cluster-test:
	$(GO) test -tags cluster -timeout 15m -count=1 -v ./internal/store/cassandra
	$(GO) test -tags cluster -timeout 25m -count=1 -v -run TestCluster ./internal/sim/torment

clean:
	rm -rf $(BIN)
