# make run and make test are all that is needed; the rest is for those who work here.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS   = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s

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

FUZZ = internal/store/local/body:FuzzFrame internal/httpio:FuzzReadBody internal/pricing:FuzzUsageFromJSON internal/dialect/otlp:FuzzExport internal/dialect/langfuse:FuzzWrite internal/query:FuzzParse internal/dialect/parea:FuzzLog

# Inputs that are merely new are not made smaller: that takes most of the time,
# and go test fails where the time is over in the middle of it.
fuzz:
	@for t in $(FUZZ); do \
		go test ./$${t%:*} -run '^$$' -fuzz "^$${t#*:}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x || exit 1; done

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
