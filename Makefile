# ctkeeper. The targets are a contract: see README.md and CONTRIBUTING.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

DESTDIR ?=
PREFIX  ?= /usr
# Where `build` puts what `install` copies.
BIN     ?= bin
KERNEL  ?= 6.1
BENCH   ?=
DOC     ?=
COUNT   ?= 10
# The last release, or else the commit of a week ago, or else the first one.
BASE    ?= $(shell git describe --tags --abbrev=0 HEAD^ 2>/dev/null || \
	git rev-list -1 --before='1 week ago' HEAD | grep . || git rev-list --max-parents=0 HEAD)
FUZZTIME ?= 30s

# Without this, git and Go's version stamp fail where root builds the clone of a user.
export GIT_CONFIG_COUNT   := 1
export GIT_CONFIG_KEY_0   := safe.directory
export GIT_CONFIG_VALUE_0 := *
git := GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' git

# The newest release in CHANGELOG.md, with +COMMITS.gCOMMIT if git has commits after its tag.
RELEASE := $(shell sed -n 's/^\#\# \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)
VERSION ?= $(RELEASE)$(shell $(git) describe --tags --long --match 'v$(RELEASE)' 2>/dev/null | \
	sed -n 's/.*-\([1-9][0-9]*\)-\(g[0-9a-f]*\)$$/+\1.\2/p')

GO      ?= go
LDFLAGS := -s -w -X main.version=$(VERSION)
# Those of all tests, which are compiled together only to be checked.
TAGS    := e2e,guest,reboot,owners,documents,upgrade,native,node,packages
# Modules of their own: what they need is not for the programs.
OTHERS  := e2e/parsers packaging/image
MODULES := e2e/local $(OTHERS)
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: build run test e2e native node bench benchstat lint fuzz generate texts bpf checkbpf help clean
.PHONY: install install-ctkeeper install-exporter uninstall packages image checkpackages sign notes vulncheck

# Completions come from the program, so another architecture needs one of this machine.
build: ## bin/ctkeeper and bin/ctkeeper-exporter, static, and completions
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...
	@mkdir -p $(BIN)/completion
	@if [ "$$($(GO) env GOARCH)" = "$$($(GO) env GOHOSTARCH)" ]; then program=$(BIN)/ctkeeper; else \
		program="env GOARCH= $(GO) run ./cmd/ctkeeper"; fi; \
	for shell in bash zsh fish; do $$program completion $$shell > $(BIN)/completion/$$shell; done

run: build ## run the daemon on this machine, in the foreground
	./bin/ctkeeper run --show

CC ?= cc
test: ## everything that needs no virtual machine, with the race detector; ends with skips and missing tools
	@$(GO) run ./internal/runtests -go "$(GO)" -cc "$(CC)" -norace "$(OTHERS)" . e2e/local -- -race -timeout 20m

e2e: ## real kernels in QEMU: make e2e KERNEL=5.10|6.1|6.12|sid
	KERNEL=$(KERNEL) $(GO) test -tags e2e -count=1 -parallel 8 -timeout 60m -v ./e2e

native: ## Debian 11, 12, 13 and sid with their own systemd, in namespaces of this kernel; as root
	$(GO) test -tags native -count=1 -timeout 20m ./e2e/native/...

node: ## a Kubernetes node with the chart and kube-proxy, in namespaces of this kernel; as root
	$(GO) test -tags node -count=1 -timeout 20m -v ./e2e/node

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

lint: ## gofmt, go vet, staticcheck, actionlint
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	$(GO) vet -tags $(TAGS) ./...
	$(GO) run $(STATICCHECK) -tags $(TAGS) ./...
	for module in $(MODULES); do \
		(cd $$module && $(GO) vet -tags $(TAGS) ./... && $(GO) run $(STATICCHECK) -tags $(TAGS) ./... && $(GO) mod verify); \
	done
	$(GO) run $(ACTIONLINT) .github/workflows/*.yml
	$(GO) mod verify

vulncheck: ## known vulnerabilities in what the programs call; fetches Go's vulnerability database
	$(GO) run $(GOVULNCHECK) ./cmd/...

fuzz: ## every fuzz test for FUZZTIME
	@for target in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$target); do \
			echo "$$name in $$(dirname $$target)"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$target); \
		done; \
	done

generate: bpf texts ## files that come from the code

texts: ## those that need no clang: docs, help files, man pages, Kubernetes manifests
	$(GO) test ./config ./metrics ./cmd/ctkeeper ./cmd/ctkeeper-exporter ./packaging -run Current -update
	$(GO) test ./internal/man -run Current -update

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

# root and share are where files go; the texts of units and drop-ins name /usr.
root  = $(DESTDIR)$(PREFIX)
share = $(root)/share
units = $(root)/lib/systemd/system
copy  = install -D -m 0644
# Copies a file, with PREFIX in place of /usr: $(call adapt,FROM,TO).
adapt = sed 's,/usr/bin/ctkeeper,$(PREFIX)/bin/ctkeeper,g; s,/usr/share/ctkeeper,$(PREFIX)/share/ctkeeper,g' \
	$(1) | install -D -m 0644 /dev/stdin $(2)

install: install-ctkeeper install-exporter ## what `make build` built, into DESTDIR, below PREFIX
	@if [ -n "$(DESTDIR)" ]; then exit 0; fi; \
	echo "Installed. Next, as root:"; \
	echo "  systemd-sysusers && systemd-tmpfiles --create ctkeeper.conf && journalctl --update-catalog"; \
	if systemctl is-active --quiet ctkeeper 2>/dev/null; then \
		echo "  systemctl daemon-reload && systemctl restart ctkeeper    # until then the old program runs"; \
	else \
		echo "  systemctl daemon-reload && systemctl enable --now ctkeeper"; \
	fi; \
	echo "For metrics and the status page: systemctl enable --now ctkeeper-exporter"

install-ctkeeper: $(BIN)/ctkeeper $(BIN)/completion/fish
	install -D -m 0755 $(BIN)/ctkeeper $(root)/bin/ctkeeper
	$(call adapt,systemd/ctkeeper.service,$(units)/ctkeeper.service)
	$(copy) systemd/ctkeeper.sysusers $(root)/lib/sysusers.d/ctkeeper.conf
	$(copy) systemd/ctkeeper.tmpfiles $(root)/lib/tmpfiles.d/ctkeeper.conf
	$(copy) systemd/ctkeeper.catalog $(root)/lib/systemd/catalog/ctkeeper.catalog
	$(call adapt,systemd/guard.conf,$(share)/ctkeeper/guard.conf)
	$(call adapt,systemd/guard-perfmon.conf,$(share)/ctkeeper/guard-perfmon.conf)
	$(copy) $(BIN)/completion/bash $(share)/bash-completion/completions/ctkeeper
	$(copy) $(BIN)/completion/zsh $(share)/zsh/site-functions/_ctkeeper
	$(copy) $(BIN)/completion/fish $(share)/fish/vendor_completions.d/ctkeeper.fish
	find docs -type f | while read -r file; do $(copy) "$$file" "$(share)/doc/ctkeeper/$${file#docs/}"; done
	$(copy) config/reference.yaml $(share)/doc/ctkeeper/ctkeeper.yaml
	$(copy) -t $(share)/doc/ctkeeper/prometheus packaging/prometheus/ctkeeper.rules.yml packaging/prometheus/ctkeeper.fleet.rules.yml
	$(copy) -t $(share)/doc/ctkeeper/grafana packaging/grafana/ctkeeper.json packaging/grafana/ctkeeper-fleet.json
	for page in $(filter-out %/ctkeeper-exporter.8,$(pages)); do $(call man,$$page); done
	install -d $(DESTDIR)/etc/ctkeeper/conf.d
	[ -e $(DESTDIR)/etc/ctkeeper/ctkeeper.yaml ] || \
		$(copy) packaging/ctkeeper.yaml $(DESTDIR)/etc/ctkeeper/ctkeeper.yaml

install-exporter: $(BIN)/ctkeeper-exporter
	install -D -m 0755 $(BIN)/ctkeeper-exporter $(root)/bin/ctkeeper-exporter
	$(call adapt,systemd/ctkeeper-exporter.service,$(units)/ctkeeper-exporter.service)
	$(copy) systemd/ctkeeper-exporter.preset $(root)/lib/systemd/system-preset/80-ctkeeper-exporter.preset
	for page in $(filter %/ctkeeper-exporter.8,$(pages)); do $(call man,$$page); done

# gzip -n leaves out name and time, so that every build has the same bytes.
pages = $(wildcard packaging/man/*.[578])
man   = gzip -9n < $(1) | install -D -m 0644 /dev/stdin $(share)/man/man$${page\#\#*.}/$${page\#\#*/}.gz

$(BIN)/ctkeeper $(BIN)/ctkeeper-exporter $(BIN)/completion/fish:
	@echo "$@ is missing: run \`make build\` first, as yourself, and then \`make install\` as root" >&2; exit 1

uninstall: ## take back what install put there, and the boot files; configuration stays
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
		systemctl disable --now ctkeeper-exporter.service ctkeeper.service || true; fi
	@if [ -x $(root)/bin/ctkeeper ]; then $(root)/bin/ctkeeper persist --remove $(if $(DESTDIR),--root $(DESTDIR)); fi
	rm -f $(root)/bin/ctkeeper $(root)/bin/ctkeeper-exporter
	rm -f $(units)/ctkeeper.service $(units)/ctkeeper-exporter.service
	rm -f $(root)/lib/systemd/system-preset/80-ctkeeper-exporter.preset $(root)/lib/systemd/catalog/ctkeeper.catalog
	rm -f $(root)/lib/sysusers.d/ctkeeper.conf $(root)/lib/tmpfiles.d/ctkeeper.conf
	rm -f $(share)/bash-completion/completions/ctkeeper $(share)/zsh/site-functions/_ctkeeper
	rm -f $(share)/fish/vendor_completions.d/ctkeeper.fish
	for page in $(pages); do rm -f $(share)/man/man$${page##*.}/$${page##*/}.gz; done
	rm -rf $(share)/doc/ctkeeper $(share)/ctkeeper $(DESTDIR)/run/ctkeeper
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo "Removed. The kernel keeps its values. These stay, if they exist: $(DESTDIR)/etc/ctkeeper,"
	@echo "$(DESTDIR)/var/lib/ctkeeper, $(DESTDIR)/etc/systemd/system/ctkeeper.service.d, and the user ctkeeper"

packages: export GO := $(GO)
packages: build ## deb, rpm, apk and archlinux packages of both programs, SBOMs and checksums, in dist/
	VERSION='$(VERSION)' packaging/packages.sh

image: export GO := $(GO)
image: ## container image for amd64 and arm64 with their SBOMs, as an OCI layout in dist/image
	VERSION='$(VERSION)' packaging/image.sh

checkpackages: ## packages and image in dist/: lintian, rpmlint, contents, and that a second build has the same bytes
	$(GO) test -tags packages -run TestPackages -count=1 -v ./packaging
	$(GO) -C packaging/image test -tags packages -run TestPackages -count=1 -v .

# gpg gets a folder of its own, and its agent ends with it.
sign: ## dist/SHA256SUMS.asc, by the secret key in RELEASE_KEY and RELEASE_KEY_PASSPHRASE
	@export GNUPGHOME=$$(mktemp -d); trap 'gpgconf --kill all; rm -rf "$$GNUPGHOME"' EXIT; \
	gpg --batch --quiet --import <<< "$$RELEASE_KEY"; \
	gpg --batch --yes --armor --pinentry-mode loopback --passphrase-fd 3 --detach-sign dist/SHA256SUMS \
		3<<< "$$RELEASE_KEY_PASSPHRASE"

notes: ## what CHANGELOG.md has about the newest version
	@sed '1,/^## \[/d;/^## \[/,$$d' CHANGELOG.md

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

clean:
	rm -rf bin dist
