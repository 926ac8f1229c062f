# berth's build. `make help` lists the targets.
SHELL := /bin/bash
export CGO_ENABLED := 0

GO ?= go
TAGS := containers_image_openpgp
DESTDIR ?=
PREFIX ?= /usr
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/berth
SYSTEM_GENERATORS ?= $(PREFIX)/lib/systemd/system-generators
USER_GENERATORS ?= $(PREFIX)/lib/systemd/user-generators
MANDIR ?= $(PREFIX)/share/man
VERSION ?= $(shell sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1 | grep . || echo 0.0.0-dev)
MODULE := github.com/berth-pods/berth
LDFLAGS := -s -w -X $(MODULE)/engine/cli.Version=$(VERSION) -X $(MODULE)/engine/cli.LibexecDir=$(LIBEXECDIR)
BUILD := $(GO) build -trimpath -buildvcs=false -tags '$(TAGS)' -ldflags '$(LDFLAGS)'

.PHONY: build
build: ## build the programs into bin/
	$(BUILD) -o bin/berth ./engine/berth
	$(BUILD) -o bin/berth-image ./engine/image/berth-image
	$(BUILD) -o bin/berth-generator ./generator/berth-generator

.PHONY: install
install: build ## install into $(DESTDIR)$(PREFIX)
	install -D -m 0755 bin/berth $(DESTDIR)$(BINDIR)/berth
	install -D -m 0755 bin/berth-image $(DESTDIR)$(LIBEXECDIR)/berth-image
	install -D -m 0755 bin/berth-generator $(DESTDIR)$(SYSTEM_GENERATORS)/berth-system-generator
	install -D -m 0755 bin/berth-generator $(DESTDIR)$(USER_GENERATORS)/berth-user-generator
	@./install-note.sh "$(DESTDIR)"

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/berth $(DESTDIR)$(LIBEXECDIR)/berth-image
	rm -f $(DESTDIR)$(SYSTEM_GENERATORS)/berth-system-generator $(DESTDIR)$(USER_GENERATORS)/berth-user-generator

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile
