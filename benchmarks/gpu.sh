#!/bin/bash
# Everything that a machine with a GPU should be asked, in about ten minutes: the tests of tests/gpu/, then micrographs a second.
#
#   benchmarks/gpu.sh [GPUS]        GPUS as for --gpu: 0 (default), 0:1 or all
#
# It needs an environment made by `make venv`, or PYTHON set to one whose PyTorch sees the GPU. Micrographs of 4096 x 4096 are
# simulated into a temporary folder (300 MB; the others are links), and read from the page cache.
set -euo pipefail
cd "$(dirname "$0")/.."
GPUS=${1:-0}
PYTHON=${PYTHON:-.venv/bin/python}
N=${N:-400}
THREADS=${THREADS:-$(nproc)}

"$PYTHON" - <<'END'
import sys
import torch
if not torch.cuda.is_available():
    sys.exit("PyTorch sees no GPU here: install a CUDA build of PyTorch, and look at nvidia-smi")
for k in range(torch.cuda.device_count()):
    facts = torch.cuda.get_device_properties(k)
    print(f"cuda:{k}  {facts.name}, {facts.total_memory / 2**30:.0f} GiB, torch {torch.__version__}")
END

echo; echo "== tests on the GPU"
"$PYTHON" -m pytest -q tests/gpu tests/test_batches.py

echo; echo "== our job on $N micrographs, --gpu $GPUS, --j $THREADS"
"$PYTHON" benchmarks/throughput.py --n 24 "$N" --gpu "$GPUS" --j "$THREADS" --programs ganpick --stages
