# make demo   the main job, with nothing but Go: a call, mail fetched and sent
# make test   everything that can fail: format, vet, lint, unit, fuzz, interop
# make bench  the figures
# make build  bin/appliance, stripped

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 5s
STRANGERS   := ./internal/interop/... ./dialup/capture/...
DEMO        ?=

.PHONY: build demo test check unit fuzz interop bench clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/appliance ./cmd/appliance

demo:
	@$(GO) run ./cmd/appliance demo $(DEMO)

test: check unit fuzz interop

check:
	@test -z "$$(gofmt -l .)" || { echo 'not gofmt-ed:'; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop $(STRANGERS)
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags interop $(STRANGERS)

unit:
	$(GO) test -race ./...

fuzz:
	.ci/fuzz $(FUZZTIME)

# prepare says with exit status 3 that it may not install what is missing. That
# is left out plainly on a person's machine, and a failure in CI.
interop:
	@internal/interop/prepare; had=$$?; \
	if [ $$had = 3 ] && [ "$$CI" != true ]; then \
		echo 'LEFT OUT: the interop tests (pppd in QEMU, Dovecot, Exim). Run make test as root once.'; exit 0; \
	elif [ $$had != 0 ]; then exit $$had; fi; \
	$(GO) test -tags interop -count=1 -v -parallel 3 -timeout 20m $(STRANGERS)

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./ppp/... ./mailrelay/... ./dialup/exchange
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/appliance

clean:
	rm -rf bin
