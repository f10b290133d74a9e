# Every target makes its own environment in .venv; nothing has to be installed by hand but Python 3.11 or later.
#
#   make demo         export, compile, verify, run and profile the example language model
#   make demo-boards  profile it on three boards that this machine plays behind an SSH server
#   make test         everything CI checks: style, types, tests, the built wheel in empty environments
#   make quick        the tests that compile nothing and emulate nothing, without style and types: some minutes
#   make test-wheel   the built wheel alone
#   make test-pages   the pages of `profile --html`, `report` and `view` in Chromium, which it installs
#   make test-gpu     what only a machine with an NVIDIA GPU can show; some minutes
#   make exactness    the same bits on every processor, in full: all networks, all machines, all float32 numbers; an hour
#   make cuda-exactness  steps compiled for GPUs beside the same steps on this processor, without a GPU; an hour
#   make conformance  every cell of every framework beside what it does there, as a table; half an hour
#   make onnx-nodes   ONNX's own tests of single operators as steps, as the page docs/onnx-nodes.md; an hour
#   make hostile      damaged and hostile files, faults and kills in full, as the page docs/reliability.md; half an hour
#   make lint         style and types alone
#   make wheel        the wheel and that of the trained networks, into dist/
#   make offline      the wheel and all it needs on a device, into dist/offline/, for a board without network
#   make release-check   what an index gets, into dist/, and what stands in the way; REPOSITORY=https://…
#   make bench             AstroEdge beside its peers over a suite of networks (benchmarks/README.md)
#   make bench-kernels     event-driven beside dense matrix products (benchmarks/README.md)
#   make bench-convolutions   convolutions of published spiking networks beside ONNX Runtime
#   make bench-networks    published networks beside ONNX Runtime, each at its firing rates
#   make zoo               every reference model: exported, compiled, proved on ARM, timed beside ONNX Runtime
#   make bench-gpu         the suite on this machine's NVIDIA GPU beside its peers there
#   make bench-paced       the suite at due times, asleep in between, beside ONNX Runtime
#   make bench-streams     many streams: a pool beside sessions in turn and beside a step for a batch of them
#   make bench-overheads   what a tick costs beyond its kernels, and what loading costs
#   make bench-pruned      pruned weights beside whole ones and ONNX Runtime
#   make bench-recall      how far back a name is remembered: an AstroSNN beside a GRU and a transformer
#   make bench-arm         instructions and cycles of a tick on ARM boards, estimated without a board
#   make bench-exactness   what the same bits on every processor cost
#
# PYTHON  which Python to use; without it the first of those below that is 3.11 or later.
# TORCH   where PyTorch comes from: a requirement, the path of a wheel, or a requirement with pip options. The default works
#         everywhere, but what pip installs on x86-64 Linux is then the CUDA build, several gigabytes. The CPU build is
#         enough: take the index that pytorch.org shows for Linux, Pip and CPU, and type
#             make demo TORCH="torch --index-url THAT_INDEX"

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo demo-boards test quick test-gpu test-wheel test-pages exactness cuda-exactness conformance onnx-nodes hostile lint bench bench-kernels bench-convolutions bench-networks bench-overheads bench-pruned bench-recall bench-exactness bench-gpu bench-paced bench-arm bench-streams zoo emulator browser wheel offline release-check

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	$(name) -c 'import sys; assert sys.version_info >= (3, 11); print("$(name)")' 2>/dev/null)))
TORCH ?= torch

VENV_PYTHON := .venv/bin/python
PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends

demo: .venv/ready
	$(VENV_PYTHON) examples/char_lm/demo.py

demo-boards: .venv/ready emulator
	$(VENV_PYTHON) -m tests.boards

# Two at a time: a test that compiles needs a gigabyte.
test: lint emulator .venv/frameworks .venv/zoo
	$(VENV_PYTHON) -m pytest --numprocesses 2 --dist worksteal

quick: .venv/ready
	$(VENV_PYTHON) -m pytest --numprocesses 2 --dist worksteal -m "not compiles and not emulated"

test-gpu: .venv/ready
	$(VENV_PYTHON) -m pytest tests/gpu

test-wheel: .venv/ready
	$(VENV_PYTHON) -m pytest tests/repository/test_wheel.py

test-pages: .venv/ready browser
	$(VENV_PYTHON) -m pytest tests/workflows/pages

exactness: .venv/ready emulator
	$(VENV_PYTHON) -m tests.exactness.across_machines
	$(VENV_PYTHON) -m tests.exactness.all_numbers

cuda-exactness: .venv/ready .venv/frameworks
	$(VENV_PYTHON) -m tests.exactness.on_gpus

conformance: .venv/ready .venv/frameworks emulator
	$(VENV_PYTHON) -m tests.conformance

onnx-nodes: .venv/ready
	$(VENV_PYTHON) -m tests.onnx_nodes > docs/onnx-nodes.md

hostile: .venv/ready
	$(VENV_PYTHON) -m tests.hostile > docs/reliability.md

bench: .venv/peers
	$(VENV_PYTHON) -m benchmarks.bench

bench-kernels: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.kernels

bench-convolutions: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.convolutions

bench-networks: .venv/frameworks
	$(VENV_PYTHON) -m benchmarks.studies.networks

zoo: .venv/ready emulator
	$(VENV_PYTHON) -m benchmarks.studies.zoo

bench-gpu: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.gpu

bench-overheads: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.overheads

bench-streams: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.streams

bench-paced: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.paced

bench-pruned: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.pruned

bench-recall: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.recall

bench-arm: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.arm

bench-exactness: .venv/ready
	$(VENV_PYTHON) -m benchmarks.studies.exactness_cost

# What an earlier build left in the two folders would go into the wheels, files that are gone since then included.
wheel: .venv/ready
	rm -rf build examples/zoo/build
	$(VENV_PYTHON) -m build --wheel --outdir dist .
	$(VENV_PYTHON) -m build --wheel --outdir dist examples/zoo

# For another board: BOARD_PYTHON=3.11 (the board's `python3 --version`), BOARD_PLATFORM=manylinux_2_28_x86_64.
BOARD_PYTHON ?= 3.11
BOARD_PLATFORM ?= manylinux_2_28_aarch64
offline: wheel
	rm -rf dist/offline
	$(VENV_PYTHON) -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version $(BOARD_PYTHON) \
		--implementation cp --platform $(BOARD_PLATFORM) --platform $(subst 2_28,2_17,$(BOARD_PLATFORM)) \
		--platform $(subst _2_28,2014,$(BOARD_PLATFORM)) --dest dist/offline dist/astroedge-*.whl
	@echo "Copy dist/offline to the board, and type there:"
	@echo "    python3 -m venv astro && astro/bin/pip install --no-index --find-links offline astroedge"

release-check: .venv/ready
	$(PIP_INSTALL) --editable '.[host,cuda,dev,release]'
	$(VENV_PYTHON) -m tests.repository.release_check "$(REPOSITORY)"

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

# PyTorch goes first and without its dependencies, which the second step finds missing and takes from the usual index: an
# index that holds only PyTorch has other versions of them.
.venv/ready: pyproject.toml examples/zoo/pyproject.toml constraints.txt astroedge/workflows/tested.txt | .venv/bin/pip
	@echo "Installing PyTorch ($(TORCH)) and the other packages into .venv; the first time this takes some minutes."
	$(PIP_INSTALL) --no-deps $(TORCH)
	$(PIP_INSTALL) --editable '.[host,cuda,report,text,dev]'
	$(PIP_INSTALL) --no-deps --editable examples/zoo
	@touch $@

# The frameworks whose models the tests export; without them those tests are skipped. Two of them ask for torchvision or
# torchaudio, which would replace PyTorch by its CUDA build, and sinabs for the drivers of its boards, so that all come
# without what they ask for but this.
.venv/frameworks: .venv/ready
	$(PIP_INSTALL) h5py loguru scipy tqdm
	$(PIP_INSTALL) --no-deps nir nirtorch norse pbr silero-vad sinabs snntorch spikingjelly
	@touch $@

# What trains the zoo. The wheel of aeon is wanted for its data alone.
.venv/zoo: .venv/ready
	$(PIP_INSTALL) --editable '.[host,cuda,report,text,dev,zoo-training]'
	$(PIP_INSTALL) --no-deps aeon
	@touch $@

# What the benchmarks compare with. A peer that is missing is named in the results, so the benchmarks run without, too.
.venv/peers: .venv/ready
	@echo "Installing the runtimes to compare with into .venv: 1.2 GB."
	$(PIP_INSTALL) --editable '.[host,cuda,report,text,dev,bench]' || echo "The runtimes to compare with could not be installed."
	@echo "Building llama.cpp for this processor; it takes some minutes."
	$(PIP_INSTALL) --editable '.[host,cuda,report,text,dev,llama]' || echo "llama.cpp could not be built."
	@touch $@

# Debian's Python comes without ensurepip, which is in a package of its own.
.venv/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "The host side needs Python 3.11 or later; say which: make PYTHON=..."; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { \
		package=$$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "Install $$package first."; exit 1; }; \
		apt-get update --quiet=2; $(APT_INSTALL) "$$package"; }
	"$(PYTHON)" -m venv .venv

# The tests run ARM bundles in an emulator, watch system calls and reach boards by SSH; those that need one of these are
# skipped, and say so, where it is missing.
emulator:
	@{ command -v qemu-aarch64-static && command -v strace && command -v proot && [ -x /usr/sbin/sshd ]; } >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update --quiet=2; $(APT_INSTALL) qemu-user-static strace proot openssh-server openssh-client; \
		else \
			echo "Without qemu-aarch64-static (package qemu-user-static) ARM bundles will not be run, without strace system calls not watched, without openssh-server and proot boards not reached."; \
		fi; }

# What opens pages as a reader would. It is large, so `make test` opens pages only where one is there already.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update --quiet=2; $(APT_INSTALL) chromium fonts-dejavu-core; \
		else \
			echo "Without Chromium (package chromium) pages will not be opened."; \
		fi; }
