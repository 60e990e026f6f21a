#!/usr/bin/env bash
# Virtual environments of the peers that the benchmarks measure against, one each, so that
# their pins (atomate2's phonopy < 4, ...) do not meet ours.
#
#   benchmarks/make_peers.sh [FOLDER]          (default build/peers; a few GB)
#
# TORCH chooses the torch build: by default the one of constraints.txt from PyPI. Set
# TORCH_INDEX to take it from another index (https://download.pytorch.org/whl/cpu for CPU).
set -euo pipefail
folder=${1:-build/peers}
python=${PYTHON:-python3}
torch=${TORCH:-torch==2.13.0}
index=${TORCH_INDEX:+--index-url $TORCH_INDEX}
export PIP_DISABLE_PIP_VERSION_CHECK=1

# make NAME REQUIREMENT...: torch first and alone, so that a CPU build stays
make() {
  local venv="$folder/$1"
  shift
  [ -e "$venv/.done" ] && return
  "$python" -m venv "$venv"
  # shellcheck disable=SC2086
  "$venv/bin/pip" install --quiet $index "$torch"
  "$venv/bin/pip" install --quiet "$@"
  "$venv/bin/pip" freeze > "$venv/.done"
  echo "$venv: $*"
}

make janus 'janus-core==0.9.8' 'mace-torch==0.3.16'
make matcalc 'matcalc==0.7.0' 'mace-torch==0.3.16' seekpath
make atomate2 'atomate2[phonons]==0.1.5' 'mace-torch==0.3.16'
