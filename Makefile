# jetsend. `make help` lists what there is to make.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
# What is installed and packaged; where a package goes.
BIN     ?= $(or $(BINARY),bin/jetsend)
DEBDIR  ?= bin
# A binary that is there already, to install or package without Go.
BINARY  ?=
# Where `make dist` puts what is released; which platforms of packaging/platforms, or all.
DIST    ?= bin/dist
ONLY    ?=
# What `make portable` tests: what has no private server in its tests.
PORTABLE = $(addprefix ./internal/,archive/... backoff/... clean/... config/... crypto/... event/... exclude/... exitcode/... \
	fields/... fileid/... filename/... fsys/... hook/... inbox/... index/... jid/... jingle/... journal/... omemo/... percontact/... \
	policy/... profile/... records/... set/... sink/... source/... spool/... stanza/... state/... strict/... stun/... tree/... xmltree/...) \
	./cmd/jetsend
# Which architectures `make arches` takes, or all of that list but this machine's.
ARCHES  ?=
# A release tag, when there is one; otherwise the build information says it.
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null)
LDFLAGS = -s -w $(if $(VERSION),-X main.version=$(VERSION))
# SQLite, translated from C, and the arithmetic of Curve25519 are not looked into for
# races: it would take many times as long, and what we do with them is seen all the same.
# Go's own linker takes half as long as gcc, for each of some forty test binaries.
RACEFLAGS = -race -ldflags=-linkmode=internal $(patsubst %,-gcflags=%=-race=false, \
	modernc.org/... crypto/ecdh crypto/internal/fips140/edwards25519/... filippo.io/...)
UNIT = scripts/in-memory $(GO) test -shuffle=on -p 3 -parallel 6 -timeout 9m $(TESTFLAGS)
# Seconds for all fuzz targets together in `make test`.
FUZZ_BUDGET ?= 45
# What `make bench` sends, in bytes, and how often; how many files without a byte.
BENCH_SIZE ?= 1073741824
BENCH_RUNS ?= 3
BENCH_ENTRIES ?= 1000000
# Where its figures go, with their picture beside them.
BENCH_FIGURES ?= docs/performance.json
# How many rounds with a file, with what is queued, and with a set `make torture` has, and the bytes of its large
# file; how many minutes `make soak` takes.
TORTURE_ROUNDS ?= 25
TORTURE_SETS ?= 100
TORTURE_SIZE ?= 10737418240
SOAK_MINUTES ?= 2
# What `make flakes` runs, and for how long at most.
FLAKES ?= ./internal/transfer
FLAKES_MINUTES ?= 30

# How many runs `make simulate` makes, and the seed of the first.
SEEDS ?= 2000
FIRST ?= 1

GOLANGCI_VERSION = 2.15.0
GOLANGCI = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/jetsend/tools/golangci-lint-$(GOLANGCI_VERSION)

# One static binary; only the race detector needs C. Without a usable git the
# build is not stamped with its revision, which would otherwise be an error.
export CGO_ENABLED = 0
export GOFLAGS += -buildvcs=$(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

.NOTPARALLEL:
.DEFAULT_GOAL = build
# The modules of Prosody's community, for logins by SASL2.
SASL2 = /usr/lib/prosody/modules/mod_sasl2

.PHONY: build test check unit rest race flakes fuzz lint demo rooms pictures interop nat windows bench torture soak simulate simulate-faults mutations install uninstall deb dist dist-check platforms portable arches clean help

build: ## build the static binary bin/jetsend
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/jetsend ./cmd/jetsend

test: check lint fuzz race rest ## everything that must pass before a change is taken

check: ## formatting, go.mod
	@unformatted=$$(gofmt -l *.go cmd internal) && test -z "$$unformatted" || { echo "not formatted by gofmt: $$unformatted" >&2; exit 1; }
	$(GO) mod tidy -diff

unit: ## unit, script and end-to-end tests (TESTFLAGS=-short for less)
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	$(UNIT) ./...

rest: ## the tests that race leaves out, and those of the commands
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	@for p in ip:iproute2 nft:nftables miniupnpd:miniupnpd-nftables turnserver:coturn; do \
		scripts/need $${p%:*} $${p#*:} || echo "the test of homes behind routers is skipped without it" >&2; done
	@GO='$(GO)' scripts/in-memory scripts/rest $(TESTFLAGS)

race: ## unit tests under the race detector, the thousand rounds among them
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	@scripts/need gcc gcc libc6-dev
	@GO='$(GO)' RACEFLAGS='$(RACEFLAGS)' scripts/in-memory scripts/race

flakes: ## the tests of FLAKES=PACKAGES again and again, under the race detector beside a load
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	@scripts/need gcc gcc libc6-dev
	@GO='$(GO)' RACEFLAGS='$(RACEFLAGS)' scripts/in-memory scripts/flakes $(FLAKES_MINUTES) $(FLAKES)

fuzz: ## every fuzz target for a few seconds (FUZZ_BUDGET=600 for more)
	@GO='$(GO)' scripts/fuzz $(FUZZ_BUDGET)

lint: $(GOLANGCI) ## golangci-lint, with the import arrows of docs/architecture.md
	$(GOLANGCI) run ./...

$(GOLANGCI):
	GO='$(GO)' scripts/install-tool $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)

demo: build ## a transfer between two accounts of a private server
	@scripts/need prosody prosody
	@$(GO) build -o bin/demo ./internal/xmpptest/demo
	@bin/demo -program bin/jetsend

rooms: ## docs/rooms.svg, of the imports: after each change of what imports what
	@$(GO) run ./internal/xmpptest/picture -rooms docs/rooms.svg

pictures: build rooms ## docs/rooms.svg, and docs/first-file.svg of two screens of a real session
	@scripts/need prosody prosody
	@$(GO) build -o bin/picture ./internal/xmpptest/picture
	@bin/picture -program bin/jetsend -first-file docs/first-file.svg

interop: build ## against real clients: Dino, Libervia and Gajim, on Prosody and on ejabberd
	@scripts/need $(SASL2) prosody-modules
	$(GO) run ./internal/interop -install $(INTEROPFLAGS)
	JETSEND_TEST_SERVER=ejabberd $(GO) test -count=1 -run TestOnline ./cmd/jetsend
	JETSEND_TEST_SERVER=prosody-sasl2 $(GO) test -count=1 -run TestOnline ./cmd/jetsend
	JETSEND_TEST_SERVER=ejabberd $(GO) test -count=1 ./internal/transfer

nat: build ## two homes behind routers, every pair, in network namespaces
	$(GO) run ./internal/natlab -install $(NATFLAGS)

windows: ## the jetsend of Windows, run by Wine, against the one of this machine
	$(GO) run ./internal/winlab -install

bench: build ## speed of the cipher; a large file beside scp; what sets must reach
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	@for p in rsync:rsync sshd:openssh-server; do scripts/need $${p%:*} $${p#*:} || echo "it is left out of the benchmark" >&2; done
	$(GO) test -run '^$$' -bench . -benchmem ./internal/crypto
	@$(GO) build -o bin/bench ./internal/xmpptest/bench
	@bin/bench -program bin/jetsend -size $(BENCH_SIZE) -runs $(BENCH_RUNS) -entries $(BENCH_ENTRIES) -figures $(BENCH_FIGURES)
	@$(GO) run ./internal/natlab -speed -figures $(BENCH_FIGURES) # where namespaces can be had; elsewhere it says so

torture: build ## interrupt and resume transfers in every way (TORTUREFLAGS=-seed=N)
	@scripts/need prosody prosody
	@$(GO) build -o bin/torture ./internal/xmpptest/torture
	@bin/torture -program bin/jetsend -rounds $(TORTURE_ROUNDS) $(TORTUREFLAGS)
	@bin/torture -program bin/jetsend -sets -rounds $(TORTURE_SETS) $(TORTUREFLAGS)
	@bin/torture -program bin/jetsend -queue -rounds $(TORTURE_ROUNDS) $(TORTUREFLAGS)
	@bin/torture -program bin/jetsend -long -long-size $(TORTURE_SIZE)
	JETSEND_TEST_LONG=1 $(GO) test -count=1 -run TestOnline/sets_many ./cmd/jetsend

soak: build ## two daemons under load, with faults, for SOAK_MINUTES
	@scripts/need prosody prosody
	@scripts/need $(SASL2) prosody-modules
	@$(GO) build -o bin/soak ./internal/xmpptest/soak
	@bin/soak -program bin/jetsend -minutes $(SOAK_MINUTES) $(SOAKFLAGS)

simulate: ## two endpoints in memory under SEEDS schedules of faults (FIRST=N for others)
	@GO='$(GO)' scripts/simulate $(FIRST) $(SEEDS)

mutations: ## the tests of invitations, with each check of the exchange taken out
	JETSEND_TEST_MUTATIONS=1 $(GO) test -count=1 -timeout 30m -run 'TestMutations$$' ./internal/acquaint

simulate-faults: ## how many of SEEDS runs it takes to find each planted fault
	@GO='$(GO)' scripts/simulate-faults $(SEEDS)

install: $(if $(BINARY),,build) ## install below $(DESTDIR)$(PREFIX); BINARY=FILE: that one, without Go
	@packaging/install install $(BIN) '$(DESTDIR)' '$(PREFIX)'

uninstall: ## remove what install put there
	@packaging/install uninstall $(BIN) '$(DESTDIR)' '$(PREFIX)'

deb: $(if $(BINARY),,build) ## a Debian package in bin/
	@packaging/deb/build $(BIN) $(DEBDIR)

dist: ## what is released, for all platforms (ONLY="linux/amd64 darwin/arm64" for some), in DIST
	@GO='$(GO)' LDFLAGS='$(LDFLAGS)' scripts/dist $(DIST) $(ONLY)

dist-check: ## build what is released twice, in two clones of this commit, and compare
	@GO='$(GO)' LDFLAGS='$(LDFLAGS)' scripts/dist-check $(DIST) $(ONLY)

platforms: ## go vet of program and tests for each system that is released for
	@GO='$(GO)' scripts/platforms

portable: ## the unit tests that need neither Linux nor a server
	$(GO) vet ./...
	$(GO) test -short -timeout 20m $(PORTABLE)

arches: ## unit tests and a transfer for other processors, under qemu
	@scripts/need prosody prosody
	@scripts/need qemu-s390x-static qemu-user-static
	@GO='$(GO)' scripts/in-memory scripts/arches $(ARCHES)

clean: ## remove what was built
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10
