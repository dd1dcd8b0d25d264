# make test is everything CI does; the rest are its parts and what is run by hand.

GO          ?= go
BIN         := $(CURDIR)/bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build test tools check generated unit crash power generate clean

build:
	$(GO) build -o $(BIN)/parley ./cmd/parley

# What CI runs, in the order in which it fails soonest.
test: tools check generated unit crash

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
	$(GO) test -race -shuffle=on -timeout 20m $$($(GO) list ./... | grep -v internal/sim/torment)

# The real binary, killed again and again; and full disks. Without the race
# detector: the processes under test are what a release is.
crash:
	$(GO) test -shuffle=on -timeout 15m ./internal/sim/torment/...

clean:
	rm -rf $(BIN)
