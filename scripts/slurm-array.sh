#!/usr/bin/env bash
# Runs a sweep as an array of Slurm jobs, a shard each; then combines the shards:
#
#   id=$(sbatch --parsable --array=1-8 scripts/slurm-array.sh 8 sweep.toml DIR)
#   sbatch --dependency="afterok:$id" scripts/slurm-array.sh merge DIR
#
# The number of shards is an argument, because an array of which some tasks are sent again (--array=3,5) has fewer. A task
# that was killed or requeued goes on where it was. Further arguments are those of `qnetsim run`. QNETSIM names the
# program if it is not in PATH. How far shard I is stands in DIR/shard-I.jsonl, and the results in DIR/all.
#
#SBATCH --job-name=qnetsim
#SBATCH --cpus-per-task=1
#SBATCH --requeue
set -euo pipefail
qnetsim=${QNETSIM:-qnetsim}

if [ "${1-}" = merge ]; then
  # One folder of results in each shard, by the name of the sweep.
  exec "$qnetsim" merge "$2"/shard-*/*/ -o "$2/all"
fi
if [ $# -lt 3 ] || [ -z "${SLURM_ARRAY_TASK_ID-}" ]; then
  sed -n '2,/^#$/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shards=$1 file=$2 dir=$3 task=$SLURM_ARRAY_TASK_ID
mkdir -p "$dir"
exec "$qnetsim" run "$file" --shard "$task/$shards" --out "$dir/shard-$task" --threads "${SLURM_CPUS_PER_TASK:-1}" \
  --quiet --metrics-file "$dir/shard-$task.jsonl" "${@:4}"
