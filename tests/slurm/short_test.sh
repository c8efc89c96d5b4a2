#!/usr/bin/env bash
# The short form of the tests on a real Slurm.
exec "$(dirname "${BASH_SOURCE[0]}")/run"
