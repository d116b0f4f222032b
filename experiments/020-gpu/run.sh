#!/usr/bin/env bash
# All measurements of a GPU in at most 8 minutes; writes OUT/result.json and prints its table.
#
#     pip install -e ".[cuda12]"                    # or cuda13; torch with CUDA beside it, for the comparison, if wanted
#     bash experiments/020-gpu/run.sh [OUT]
#
# REHEARSE=1 runs every line with small sizes, on any device; PARTS="speed pictures" some parts only.
set -u
cd "$(dirname "$0")/../.."
export XLA_PYTHON_CLIENT_PREALLOCATE=false # several processes, one after the other, and PyTorch share the card
exec python experiments/020-gpu/measure.py all --out "${1:-gpu-result}" ${REHEARSE:+--rehearse} ${PARTS:+--parts $PARTS}
