# One target for each task of a contributor. `make` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
# The build that is made and installed: release, or dev.
PROFILE ?= release

VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
SONAME := $(shell sed -n 's/^const SONAME: &str = "\(.*\)";/\1/p' bindings/c/build.rs)

# The owner of the checkout builds. `sudo make install` does not run cargo: it copies the owner's
# build.
IS_BUILDER := $(shell test -O Makefile && echo yes)

# Where cargo builds.
ifndef TARGET_DIR
TARGET_DIR := $(CARGO_TARGET_DIR)
ifeq ($(TARGET_DIR)$(IS_BUILDER),yes)
TARGET_DIR := $(shell cargo metadata --format-version 1 --no-deps 2>/dev/null | \
  sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
endif
ifeq ($(TARGET_DIR),)
TARGET_DIR := target
endif
endif
BUILT = $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

help: ## list the targets
	@echo "Nightcore $(VERSION). Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' \
	  $(firstword $(MAKEFILE_LIST))

build: ## build the engine and libnightcore
	cargo build --locked --profile $(PROFILE) -p nightcore-engine -p nightcore-c

demo: ## run functions in every language that is there, and call them
	@examples/demo.sh

test: ## run every test; seconds for each stage
	@tests/run.sh

test-deep: ## run the slow checks, and process tests 50 times (RUNS=50)
	@tests/deep.sh

fuzz: ## try bytes that a hostile peer could send (TARGET=channel: one target; SECONDS=60: each)
	@tests/fuzz/run.sh $(or $(SECONDS),60) $(TARGET)

lint: ## check the format, and that linters and compilers have nothing to say
	@tests/run.sh format shell walls clippy c

fmt: ## format the Rust sources
	cargo fmt --all

bindings: ## write the generated sources of all languages, and include/nightcore.h
	NIGHTCORE_WRITE_BINDINGS=1 cargo test --locked -q --workspace --test fresh
	NIGHTCORE_WRITE_BINDINGS=1 \
	  cargo test --locked -q --workspace --test header the_header_is_fresh

bench: ## measure Nightcore, and this machine's floors; under twelve minutes (ARGS=--quick: rough)
	cargo build --locked --release -p nightcore-engine -p nightcore-c -p nightcore-bench
	bench/prepare.sh $(abspath $(TARGET_DIR))/release
	$(TARGET_DIR)/release/nightcore-bench $(ARGS)

bench-long: ## the same with ten million calls, and beside crowds of functions and connections
	@$(MAKE) --no-print-directory bench ARGS="--long $(ARGS)"

counts: ## keep what callgrind now counts for a call, in tests/counts/instructions.json
	cargo run --locked --quiet --release -p nightcore-tests --bin nightcore-counts -- --write fifo

soak: ## a million calls while processes are killed, stopped, filled (CALLS=1000000 SEED=)
	cargo run --locked --quiet --bin nightcore-soak -- \
	  $(if $(CALLS),--calls $(CALLS)) $(if $(SEED),--seed $(SEED))

docs: ## build the documentation site from the Markdown files, and say where it is
	@docs/site/build.sh

dist: ## make the packages that would be published, in dist/ (TARGETS="aarch64-... ...": for others)
	@TARGETS="$(TARGETS)" packaging/dist.sh

clean: ## remove all that was built
	cargo clean
	$(RM) -r dist
	$(RM) examples/hello/c/hello examples/hello/cpp/hello

# Installing. The files find each other relative to their own place, so that an installed tree can
# be moved.

bindir = $(DESTDIR)$(PREFIX)/bin
libdir = $(DESTDIR)$(PREFIX)/lib
includedir = $(DESTDIR)$(PREFIX)/include
docdir = $(DESTDIR)$(PREFIX)/share/doc/nightcore
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system

# Where the unit looks for the command. A tarball names the place where its tree is meant to go.
UNIT_PREFIX ?= $(PREFIX)

# Programs find the shared library where it was installed; the loader knows the system's own folder.
RPATH = $(if $(filter /usr,$(PREFIX)),,-Wl,-rpath,$${libdir} )
# The libraries that a static library needs, by rustc; tests/deep.sh compares them.
SYSTEM_LIBS = -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
# Compilers add libgcc_s by themselves, and its static form to a program that is static as a whole.
NAMED_LIBS = $(filter-out -lgcc_s,$(SYSTEM_LIBS))
FILL_IN = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SONAME@|$(SONAME)|g' \
  -e 's|@RPATH@|$(RPATH)|g' -e 's|@SYSTEM_LIBS@|$(NAMED_LIBS)|g'

install: ## install what was built: PREFIX=/usr/local DESTDIR=
	@case "$(PREFIX)" in /*) ;; *) \
	  echo "make: PREFIX=$(PREFIX) is not an absolute path" >&2; exit 1;; esac
ifeq ($(IS_BUILDER),yes)
	@$(MAKE) --no-print-directory build
endif
	@for file in nightcore libnightcore.so libnightcore.a; do test -e $(BUILT)/$$file || { \
	  echo "make: there is no $(BUILT)/$$file:" \
	    "run \`make build\` first, as the owner of this checkout;" \
	    "if that builds elsewhere, say where: make install TARGET_DIR=DIR" >&2; exit 1; }; done
	install -d $(bindir) $(libdir)/pkgconfig $(libdir)/cmake/nightcore $(includedir) $(docdir) \
	  $(unitdir)
	install -m 755 $(BUILT)/nightcore $(bindir)/nightcore
	install -m 755 $(BUILT)/libnightcore.so $(libdir)/libnightcore.so.$(VERSION)
	ln -sf libnightcore.so.$(VERSION) $(libdir)/$(SONAME)
	ln -sf $(SONAME) $(libdir)/libnightcore.so
	install -m 644 $(BUILT)/libnightcore.a $(libdir)/libnightcore.a
	install -m 644 include/nightcore.h include/nightcore.hpp include/nightcore_testing.hpp \
	  $(includedir)
	install -m 644 LICENSE $(docdir)/LICENSE
	@for file in nightcore.pc nightcore-static.pc; do \
	  $(FILL_IN) bindings/c/$$file.in > $(libdir)/pkgconfig/$$file && \
	  chmod 644 $(libdir)/pkgconfig/$$file || exit; done
	@for file in nightcore-config.cmake nightcore-config-version.cmake; do \
	  $(FILL_IN) bindings/c/$$file.in > $(libdir)/cmake/nightcore/$$file && \
	  chmod 644 $(libdir)/cmake/nightcore/$$file || exit; done
	@sed 's|/usr/bin/|$(UNIT_PREFIX)/bin/|' deploy/nightcore.service \
	  > $(unitdir)/nightcore.service && chmod 644 $(unitdir)/nightcore.service
	@echo "nightcore $(VERSION) is installed in $(DESTDIR)$(PREFIX)"

uninstall: ## remove what install put there: PREFIX=/usr/local DESTDIR=
	$(RM) $(bindir)/nightcore $(unitdir)/nightcore.service
	$(RM) $(libdir)/libnightcore.so.$(VERSION) $(libdir)/$(SONAME) $(libdir)/libnightcore.so
	$(RM) $(libdir)/libnightcore.a
	$(RM) $(libdir)/pkgconfig/nightcore.pc $(libdir)/pkgconfig/nightcore-static.pc
	$(RM) $(includedir)/nightcore.h $(includedir)/nightcore.hpp $(includedir)/nightcore_testing.hpp
	$(RM) -r $(libdir)/cmake/nightcore $(docdir)

.PHONY: help build docs demo test test-deep fuzz lint fmt bindings bench bench-long counts \
  soak dist clean install uninstall
