#!/bin/sh
# A Slurm array, each task in a machine of its own: sbatch --array=0-7 slurm-array.sh ./task
# The task is run with its number; what it leaves in $OUT is in out/NUMBER. Its status is the task's ExitCode; 125 is the
# node's fault, and worth a `scontrol requeue`.
#SBATCH --job-name=minivmm
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --time=30
mkdir -p out
# srun passes on the SIGTERM of scancel and of the time limit; the machine ends within --kill-after.
exec srun minivmm run --root / --share "$PWD:/src" --cwd /src --out "out/$SLURM_ARRAY_TASK_ID" --kill-after 5s \
	${MINIVMM_OPTIONS:-} -- "$@" "$SLURM_ARRAY_TASK_ID"
