#!/bin/sh
# A Slurm array, each task in a machine of its own: sbatch --array=0-7 slurm-array.sh ./task
# The task is run with its number; what it leaves in $OUT is in out/NUMBER. Its status is the task's ExitCode; 125 is the
# node's fault, and the task is queued again.
#SBATCH --job-name=minivmm
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=30
#SBATCH --requeue
set -u
n=${SLURM_ARRAY_TASK_ID:-0}
mkdir -p out
# srun passes scancel's and the time limit's SIGTERM on; the machine ends within --kill-after.
srun minivmm run --root / --share "$PWD:/src" --cwd /src --out "out/$n" --kill-after 5s ${MINIVMM_OPTIONS:-} -- "$@" "$n"
status=$?
[ $status -ne 125 ] || [ "${SLURM_RESTART_COUNT:-0}" -ge 2 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID}_$n"
exit $status
