# ctkeeper. The targets are a contract: see README.md and CONTRIBUTING.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

DESTDIR ?=
PREFIX  ?= /usr
KERNEL  ?= 6.1
BENCH   ?=
DOC     ?=
COUNT   ?= 10
# The last release, or else the commit of a week ago, or else the first one.
BASE    ?= $(shell git describe --tags --abbrev=0 HEAD^ 2>/dev/null || \
	git rev-list -1 --before='1 week ago' HEAD | grep . || git rev-list --max-parents=0 HEAD)
FUZZTIME ?= 30s
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

GO      ?= go
LDFLAGS := -s -w -X main.version=$(VERSION)
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: build run test e2e bench benchstat lint fuzz generate bpf checkbpf install uninstall help clean

build: ## bin/ctkeeper and bin/ctkeeper-exporter, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build ## run the daemon on this machine, in the foreground
	./bin/ctkeeper run --show

CC ?= cc
test: ## everything that needs no virtual machine, with the race detector
	@command -v $(CC) >/dev/null || { echo "make test needs a C compiler for the race detector: apt-get install gcc"; exit 1; }
	$(GO) test -race ./...
	$(GO) -C e2e/local test -race ./...

e2e: ## real kernels in QEMU: make e2e KERNEL=5.10|6.1|6.12|sid
	KERNEL=$(KERNEL) $(GO) test -tags e2e -count=1 -timeout 60m -v ./e2e

bench: ## beside what people would run instead, here and in QEMU: make bench BENCH="-quiet 2m" [DOC=1: docs/performance.md]
	$(GO) -C e2e/local mod download
	if [ "$$(id -u)" = 0 ]; then \
		unshare -n $(GO) -C e2e/local test -run '^$$' -bench Scrape ./table; \
		$(GO) test -run '^$$' -bench Others -benchtime 1x ./guard; \
	fi
	KERNEL=$(KERNEL) BENCH="$(BENCH)" $(GO) test -tags e2e -count=1 -timeout 90m -v ./e2e/bench
	if [ -n "$(DOC)" ]; then $(GO) run ./e2e/bench -document docs dist/bench/here.json dist/bench/machine.json; fi

# Both trees run in turn, so that both see what else the machine does. As root they run in a network namespace of their
# own, which has conntrack's settings.
benchstat: ## the Go benchmarks beside those of BASE, default the last release, and what got slower: make benchstat COUNT=10
	@base=$$(mktemp -d) && trap 'rm -rf "$$base"' EXIT; \
	git archive "$(BASE)" | tar -x -C "$$base"; \
	mkdir -p dist/benchstat && out=$$PWD/dist/benchstat; : > "$$out/base"; : > "$$out/head"; \
	if [ "$$(id -u)" = 0 ]; then alone="unshare -n"; else alone=; fi; \
	for i in $$(seq $(COUNT)); do for tree in base head; do \
		if [ $$tree = base ]; then cd "$$base"; else cd "$(CURDIR)"; fi; \
		packages=$$(grep -rl --include='*_test.go' '^func Benchmark' . | grep -Ev '^./(dist|e2e|guard)/' | xargs -r -n1 dirname | sort -u) || true; \
		[ -z "$$packages" ] || $$alone $(GO) test -run '^$$' -bench '$(or $(ONLY),.)' $$packages >> "$$out/$$tree"; \
	done; done; \
	cd "$$out" && $(GO) run $(BENCHSTAT) base head | tee table; \
	echo; echo "Slower than $(BASE), or more memory:"; grep -E '\+[0-9.]+% \(p=' table || echo "nothing"

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) -C e2e/local vet ./...
	$(GO) vet -tags e2e ./e2e/...
	$(GO) vet -tags guest,reboot,owners ./e2e/...
	$(GO) run $(STATICCHECK) ./...
	cd e2e/local && $(GO) run $(STATICCHECK) ./...
	$(GO) run $(STATICCHECK) -tags e2e ./e2e/...
	$(GO) run $(STATICCHECK) -tags guest,reboot,owners ./e2e/...
	$(GO) mod verify
	$(GO) -C e2e/local mod verify

fuzz: ## every fuzz test for FUZZTIME
	@for target in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$target); do \
			echo "$$name in $$(dirname $$target)"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$target); \
		done; \
	done

generate: bpf ## files that come from the code
	$(GO) test ./config ./metrics ./cmd/ctkeeper -run TestReferenceIsCurrent -update

# The same compiler makes the same bytes everywhere: Debian 12's, clang 14.
BPFDIR := .
bpf: ## the guard's BPF programs from guard/bpf; needs Debian's clang, llvm and libbpf-dev
	cd guard && GOPACKAGE=guard $(GO) run github.com/cilium/ebpf/cmd/bpf2go -target bpfel,bpfeb -output-dir "$(BPFDIR)" \
		-no-global-types -type record -type actor -type rule -type name -type kind -type flags \
		bpf bpf/guard.c -- -Wall -Wextra -Werror -Wno-unused-parameter

checkbpf: ## that the BPF programs in the repository are what `make bpf` makes, byte by byte
	@built=$$(mktemp -d) && trap 'rm -rf "$$built"' EXIT; \
	$(MAKE) --no-print-directory bpf BPFDIR="$$built"; \
	for file in guard/bpf_*; do cmp "$$file" "$$built/$${file##*/}"; done

install: build ## into DESTDIR, below PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system
	for program in ctkeeper ctkeeper-exporter; do \
		install -m 0755 bin/$$program $(DESTDIR)$(PREFIX)/bin/$$program; \
		sed 's,/usr/bin/ctkeeper,$(PREFIX)/bin/ctkeeper,g' systemd/$$program.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$program.service; \
		chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$$program.service; \
	done
	install -D -m 0644 systemd/ctkeeper.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/ctkeeper.conf
	install -D -m 0644 systemd/ctkeeper.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/ctkeeper.conf
	install -D -m 0644 systemd/ctkeeper.catalog $(DESTDIR)$(PREFIX)/lib/systemd/catalog/ctkeeper.catalog
	install -d $(DESTDIR)$(PREFIX)/share/ctkeeper
	for file in guard.conf guard-perfmon.conf; do \
		sed 's,/usr/share/ctkeeper,$(PREFIX)/share/ctkeeper,g' systemd/$$file > $(DESTDIR)$(PREFIX)/share/ctkeeper/$$file; \
		chmod 0644 $(DESTDIR)$(PREFIX)/share/ctkeeper/$$file; \
	done
	install -D -m 0644 config/reference.yaml $(DESTDIR)$(PREFIX)/share/doc/ctkeeper/ctkeeper.yaml
	install -m 0644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/ctkeeper/
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/ctkeeper/performance docs/performance/*.svg
	install -D -m 0644 packaging/prometheus/ctkeeper.rules.yml $(DESTDIR)$(PREFIX)/share/doc/ctkeeper/prometheus/ctkeeper.rules.yml
	install -D -m 0644 packaging/grafana/ctkeeper.json $(DESTDIR)$(PREFIX)/share/doc/ctkeeper/grafana/ctkeeper.json
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	./bin/ctkeeper completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ctkeeper
	./bin/ctkeeper completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ctkeeper
	./bin/ctkeeper completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ctkeeper.fish
	@if [ -z "$(DESTDIR)" ]; then \
		echo "Installed. Next:"; \
		echo "  systemd-sysusers && systemd-tmpfiles --create ctkeeper.conf && journalctl --update-catalog"; \
		echo "  systemctl daemon-reload && systemctl enable --now ctkeeper"; \
		echo "For metrics and the status page: systemctl enable --now ctkeeper-exporter"; \
	fi

uninstall: ## take back what install put there; configuration stays
	rm -f $(DESTDIR)$(PREFIX)/bin/ctkeeper $(DESTDIR)$(PREFIX)/lib/systemd/system/ctkeeper.service \
		$(DESTDIR)$(PREFIX)/bin/ctkeeper-exporter $(DESTDIR)$(PREFIX)/lib/systemd/system/ctkeeper-exporter.service \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/ctkeeper.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/ctkeeper.conf \
		$(DESTDIR)$(PREFIX)/lib/systemd/catalog/ctkeeper.catalog \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ctkeeper \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ctkeeper $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ctkeeper.fish
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/ctkeeper $(DESTDIR)$(PREFIX)/share/ctkeeper

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

clean:
	rm -rf bin dist
