# make test is everything CI does; the rest are its parts and what is run by hand.

GO          ?= go
BIN         := $(CURDIR)/bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test tools check generated unit long engine crash power cluster-test generate clean

build:
	$(GO) build -o $(BIN)/parley ./cmd/parley

# What CI runs, in the order in which it fails soonest.
test: tools check generated unit long engine crash

# The one thing make test needs beside Go and make; it is fetched and built by
# Go itself, at a pinned version.
tools:
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
