# make run and make test are all that is needed; the rest is for those who work here.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS   = -s -w -X main.version=$(VERSION)

export CGO_ENABLED ?= 0

.PHONY: build run test unit race fuzz e2e bench lint cross clean

build: ## bin/clew
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/clew ./cmd/clew

run: build ## serve on http://localhost:3000 with data in clew-data/
	./bin/clew serve

test: lint unit race fuzz e2e ## everything

unit:
	go test $$(go list ./... | grep -v '/e2e$$')

# The race detector needs cgo. Only what works in parallel is worth its time.
race:
	CGO_ENABLED=1 go test -race -short ./internal/store/... ./internal/ingest ./internal/auth ./internal/catalog ./internal/server

# Package, target, and how many inputs are tried: some seconds of each.
FUZZ = internal/store/local/body:FuzzFrame:12000x internal/httpio:FuzzReadBody:60000x internal/pricing:FuzzUsageFromJSON:200000x \
	internal/dialect/otlp:FuzzExport:25000x internal/dialect/langfuse:FuzzWrite:6000x internal/query:FuzzParse:100000x internal/dialect/parea:FuzzLog:18000x

# FUZZTIME=10m fuzzes each for as long. By itself a number of inputs is tried, for
# go test may fail where its time is over; and inputs that are merely new are
# not made smaller, which takes most of the time.
fuzz:
	@for t in $(FUZZ); do \
		IFS=:; set -- $$t; unset IFS; \
		go test ./$$1 -run '^$$' -fuzz "^$$2\$$" -fuzztime $(or $(FUZZTIME),$$3) -fuzzminimizetime 1x || exit 1; done

# The built program with the real SDKs; what they need is installed below .cache/test.
e2e: build
	CLEW_BIN=$(CURDIR)/bin/clew go test -count=1 -timeout 30m ./e2e

bench: build ## figures beside what they are to reach; takes about ten minutes
	go run ./e2e/bench $(ARGS)

lint:
	@fmt=$$(gofmt -l cmd internal e2e web *.go); test -z "$$fmt" || { echo "run gofmt -w on $$fmt"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

cross: ## every platform that is to build
	@for p in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		echo $$p; GOOS=$${p%/*} GOARCH=$${p#*/} go build -o /dev/null ./cmd/clew || exit 1; done

clean:
	rm -rf bin .cache
