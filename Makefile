# berth's build. `make help` lists the targets.
SHELL := /bin/bash
export CGO_ENABLED := 0

GO ?= go
TAGS := containers_image_openpgp exclude_graphdriver_zfs
DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/berth
SYSTEM_GENERATORS ?= $(PREFIX)/lib/systemd/system-generators
USER_GENERATORS ?= $(PREFIX)/lib/systemd/user-generators
SYSTEM_UNITS ?= $(PREFIX)/lib/systemd/system
USER_UNITS ?= $(PREFIX)/lib/systemd/user
MANDIR ?= $(PREFIX)/share/man
APPARMOR ?= /etc/apparmor.d
VERSION ?= $(shell sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1 | grep . || echo 0.0.0-dev)
MODULE := github.com/berth-pods/berth
LDFLAGS := -s -w -X $(MODULE)/installed.Version=$(VERSION) -X $(MODULE)/installed.BinDir=$(BINDIR) -X $(MODULE)/installed.LibexecDir=$(LIBEXECDIR) \
	-X $(MODULE)/installed.SystemGenerators=$(SYSTEM_GENERATORS) -X $(MODULE)/installed.UserGenerators=$(USER_GENERATORS)
# Without inlining the packages that read words and unit files, the network's, the user namespaces' and the engine's own have 0.4 MB less and take the same time. test/deps measures the same build.
GCFLAGS := -gcflags '$(MODULE)/engine/cli=-l' -gcflags '$(MODULE)/engine/spec=-l' -gcflags '$(MODULE)/engine/network=-l' -gcflags '$(MODULE)/engine/rootless=-l' -gcflags '$(MODULE)/engine/autoupdate=-l' -gcflags '$(MODULE)/engine/store=-l' -gcflags '$(MODULE)/engine/format=-l' -gcflags '$(MODULE)/generator=-l' -gcflags '$(MODULE)/engine=-l'
BUILD := $(GO) build -trimpath -buildvcs=false -tags '$(TAGS)' $(GCFLAGS) -ldflags '$(LDFLAGS)'

.PHONY: build
build: ## build the programs into bin/
	$(BUILD) -o bin/berth ./engine/berth
	$(BUILD) -o bin/berth-image ./engine/image/berth-image
	$(BUILD) -o bin/berth-generator ./generator/berth-generator
	$(BUILD) -o bin/berth-fetch ./engine/fetch/berth-fetch
	$(BUILD) -o bin/berth-keeper ./engine/keeper/berth-keeper
	$(BUILD) -o bin/berth-net ./engine/usernet/berth-net

.PHONY: man
man: ## render the manual pages into bin/man
	rm -rf bin/man
	$(GO) run -tags '$(TAGS)' ./man bin/man

# The units of the keeper, for the system's manager and for those of the users. The socket is enabled by a link of its own,
# as those of systemd are, so that no container's unit need name it.
define keeper_units
install -d $(2)/sockets.target.wants
install -m 0644 engine/keeper/berth-keeper/$(1)/*.socket $(2)
sed 's|@LIBEXECDIR@|$(LIBEXECDIR)|' engine/keeper/berth-keeper/$(1)/berth-keeper.service >$(2)/berth-keeper.service
chmod 0644 $(2)/berth-keeper.service
for s in engine/keeper/berth-keeper/$(1)/*.socket; do ln -sf ../$${s##*/} $(2)/sockets.target.wants/$${s##*/} || exit 1; done
endef

.PHONY: install
install: ## install into $(DESTDIR)$(PREFIX); one at a time does so, as each makes bin anew
	@flock Makefile $(MAKE) --no-print-directory install-alone

.PHONY: install-alone
install-alone: build man install-support
	install -D -m 0755 bin/berth $(DESTDIR)$(BINDIR)/berth
	for p in image fetch keeper net; do install -D -m 0755 bin/berth-$$p $(DESTDIR)$(LIBEXECDIR)/berth-$$p || exit 1; done
	install -D -m 0755 bin/berth-generator $(DESTDIR)$(SYSTEM_GENERATORS)/berth-system-generator
	install -D -m 0755 bin/berth-generator $(DESTDIR)$(USER_GENERATORS)/berth-user-generator
	for n in 1 5 8; do install -D -m 0644 -t $(DESTDIR)$(MANDIR)/man$$n bin/man/*.$$n || exit 1; done
	@./install-note.sh "$(DESTDIR)"

# All that is not built.
.PHONY: install-support
install-support:
	install -d -m 0755 $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR)/staging
	ln -sfr $(DESTDIR)$(BINDIR)/berth $(DESTDIR)$(LIBEXECDIR)/berth-dns
	$(call keeper_units,system,$(DESTDIR)$(SYSTEM_UNITS))
	$(call keeper_units,user,$(DESTDIR)$(USER_UNITS))
	for u in berth-net berth-pasta; do sed 's|@LIBEXECDIR@|$(LIBEXECDIR)|' engine/usernet/berth-net/user/$$u.service >$(DESTDIR)$(USER_UNITS)/$$u.service || exit 1; \
		chmod 0644 $(DESTDIR)$(USER_UNITS)/$$u.service || exit 1; done
	sed 's|@BINDIR@|$(BINDIR)|' engine/network/systemd/berth-firewall.service >$(DESTDIR)$(SYSTEM_UNITS)/berth-firewall.service
	chmod 0644 $(DESTDIR)$(SYSTEM_UNITS)/berth-firewall.service
	for f in firewalld nftables; do install -d $(DESTDIR)$(SYSTEM_UNITS)/$$f.service.wants || exit 1; \
		ln -sf ../berth-firewall.service $(DESTDIR)$(SYSTEM_UNITS)/$$f.service.wants/berth-firewall.service || exit 1; done
	for d in $(DESTDIR)$(SYSTEM_UNITS) $(DESTDIR)$(USER_UNITS); do for u in service timer; do \
		install -D -m 0644 engine/autoupdate/systemd/berth-auto-update.$$u $$d/berth-auto-update.$$u || exit 1; \
		sed -i 's,/usr/bin/berth,$(BINDIR)/berth,' $$d/berth-auto-update.$$u || exit 1; done; done
	install -D -m 0644 engine/autoupdate/systemd/system/10-restrict.conf $(DESTDIR)$(SYSTEM_UNITS)/berth-auto-update.service.d/10-restrict.conf
	install -D -m 0644 -t $(DESTDIR)$(APPARMOR) engine/config/apparmor/berth-default

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/berth $(DESTDIR)$(LIBEXECDIR)/berth-image $(DESTDIR)$(LIBEXECDIR)/berth-fetch $(DESTDIR)$(LIBEXECDIR)/berth-dns
	rmdir $(DESTDIR)$(LIBEXECDIR)/staging || true
	rm -f $(DESTDIR)$(LIBEXECDIR)/berth-keeper $(DESTDIR)$(LIBEXECDIR)/berth-net $(DESTDIR)$(USER_UNITS)/berth-net.service $(DESTDIR)$(USER_UNITS)/berth-pasta.service
	rm -f $(DESTDIR)$(SYSTEM_UNITS)/berth-firewall.service $(DESTDIR)$(SYSTEM_UNITS)/{firewalld,nftables}.service.wants/berth-firewall.service
	rm -rf $(DESTDIR)$(SYSTEM_UNITS)/berth-auto-update.service.d
	rm -f $(DESTDIR)$(SYSTEM_UNITS)/berth-auto-update.* $(DESTDIR)$(USER_UNITS)/berth-auto-update.*
	for d in $(DESTDIR)$(SYSTEM_UNITS) $(DESTDIR)$(USER_UNITS); do rm -f $$d/berth-keeper.service $$d/berth-keeper*.socket $$d/sockets.target.wants/berth-keeper*.socket; done
	rm -f $(DESTDIR)$(MANDIR)/man1/berth.1 $(DESTDIR)$(MANDIR)/man1/berth-*.1 $(DESTDIR)$(MANDIR)/man5/berth.unit.5 $(DESTDIR)$(MANDIR)/man8/berth-generator.8 $(DESTDIR)$(MANDIR)/man8/berth-keeper.8
	rm -f $(DESTDIR)$(APPARMOR)/berth-default
	rm -f $(DESTDIR)$(SYSTEM_GENERATORS)/berth-system-generator $(DESTDIR)$(USER_GENERATORS)/berth-user-generator

.PHONY: check
check: export PATH := $(PATH):$(CURDIR)/.cache/tools/usr/bin
check: ## format, vet, unit tests, sizes and dependencies; needs Go only
	@test -z "$$(gofmt -l bench engine examples generator installed man test units)" || { echo "not formatted: $$(gofmt -l bench engine examples generator installed man test units)"; exit 1; }
	$(GO) vet -tags '$(TAGS)' ./...
	$(GO) vet -tags 'e2e $(TAGS)' ./test/e2e/...
	set -o pipefail; $(GO) test -json -tags '$(TAGS)' ./... | $(GO) run ./test/summary

.PHONY: tools
tools: ## install what the unit tests use besides Go; needs root and apt-get
	test/tools

.PHONY: reproducible
reproducible: ## build all programs twice, from nothing, in different folders: the bytes must be the same; takes minutes
	BERTH_REPRODUCE=all $(GO) test -tags '$(TAGS)' -count=1 -timeout 60m -v -run TestReproducible ./test/deps

FUZZTIME ?= 60s
.PHONY: fuzz
fuzz: ## feed each fuzz target for FUZZTIME (60s), one after the other; a find is kept below testdata/fuzz
	@grep -r '^func Fuzz' --include=*_test.go engine generator units | sed 's,^\(.*\)/[^/]*_test.go:func \(Fuzz[A-Za-z]*\)(.*,\1 \2,' | sort | while read -r dir name; do \
		echo "$$dir $$name"; $(GO) test -tags '$(TAGS)' -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$dir </dev/null || exit 1; done

.PHONY: vulnerabilities
vulnerabilities: ## look for known vulnerabilities in what is linked; says so when govulncheck or its database is not to be had
	@command -v govulncheck >/dev/null || { echo "not looked for: govulncheck is not installed (golang.org/x/vuln/cmd/govulncheck)"; exit 0; }; \
	govulncheck -tags '$(TAGS)' ./...; status=$$?; \
	if [ $$status != 0 ] && [ $$status != 3 ]; then echo "not looked for: govulncheck ended with status $$status, see above; it reads vuln.go.dev, or where GOVULNDB says"; exit 0; fi; exit $$status

.PHONY: machines
machines: ## build the machines that the end-to-end tests run on (once)
	$(GO) run ./test/e2e/hosts/berth-host setup

.PHONY: e2e
e2e: machines ## the end-to-end scripts, on both kinds of machine
	set -o pipefail; $(GO) test -json -tags 'e2e $(TAGS)' -count=1 -timeout 80m ./test/e2e | $(GO) run ./test/summary -v

.PHONY: test
test: ## everything: check and e2e; installs what it needs from Debian's packages
	$(MAKE) --no-print-directory tools
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory e2e

.PHONY: torture
torture: machines ## the end-to-end scripts with every case of kills and faults, power cuts, and the long soak; takes hours
	$(GO) test -tags '$(TAGS)' -count=1 -run '^$$' -bench 'CutLink|KilledPull' -benchtime 1x ./engine/image
	$(GO) test -tags 'e2e $(TAGS)' -count=1 -timeout 12h -v ./test/e2e -host nspawn -torture -run 'TestScripts/.*/(12|14|17|18|22|30|43|64|65|67|68|70|72|74|81)-|TestPowerCuts'
	BERTH_ROUNDS=3 $(GO) test -tags 'e2e $(TAGS)' -count=1 -timeout 2h -v ./test/e2e -host vm -torture -run 'TestScripts/.*/(04|7[2-5])-'

.PHONY: demo
demo: machines ## run examples/web on a throw-away machine
	examples/demo.sh

.PHONY: bench
bench: ## measure berth beside Podman and Docker on a machine of its own
	$(GO) run ./bench

.PHONY: bench-report
bench-report: ## measure, and draw the figures that README.md shows
	$(GO) run ./bench -out bench/figures.json
	$(GO) run ./bench -out bench/figures.json -plot bench/figures.svg

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile
