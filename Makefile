# Thin verbs; what they do is in tools/xtask (Rust). `make` alone lists them.
XTASK := cargo run --quiet --package xtask --
FUZZ_SECONDS ?= 10

.PHONY: help run test bpf vm bench fuzz images tidy fmt prerequisites linker

help:
	@echo 'make run           build and start server and agent on this host, print the address'
	@echo 'make test          every check; make test STEPS="unit e2e" runs those alone'
	@echo 'make bench         measure cost and speed into docs/perf.md'
	@echo 'make fuzz          run every fuzz target for FUZZ_SECONDS; TARGETS="wire flow" names some'
	@echo 'make vm            boot the kernels of kernel-matrix/ and run the cases in them'
	@echo 'make images        container images of the agent for both architectures'
	@echo 'make bpf           build the kernel side alone'
	@echo 'make tidy          the rules of STYLE.md; make fmt formats'
	@echo 'make prerequisites install what tests need'

# Cargo needs a linker before anything of ours can run.
linker:
	@command -v cc >/dev/null || { \
	  echo 'installing gcc: cargo needs a linker'; \
	  $$( [ "$$(id -u)" = 0 ] || echo sudo ) sh -c 'apt-get update && \
	    apt-get install -y --no-install-recommends -t bookworm gcc libc6-dev'; }

run: linker
	@$(XTASK) run $(OPTIONS)

test: linker
	@$(XTASK) test $(STEPS)

bench: linker
	@$(XTASK) bench

bpf: linker
	@$(XTASK) prerequisites run
	@cargo build --package source

fuzz: linker
	@$(XTASK) fuzz --seconds $(FUZZ_SECONDS) $(TARGETS)

tidy:
	@$(XTASK) tidy

fmt:
	@cargo fmt --all

prerequisites: linker
	@$(XTASK) prerequisites test

vm: linker
	@$(XTASK) vm $(OPTIONS)

images: linker
	@$(XTASK) images
