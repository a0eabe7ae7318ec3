#!/bin/bash
# Searches hyperparameters on several nodes, each training other trials: sbatch cluster/slurm_explore.sh, from the project's root, which lies
# in a shared folder. Submitted again after a stop, it goes on.
#SBATCH --job-name=explore
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
##SBATCH --gpus-per-node=1

set -e
export KERASTUNER_ORACLE_IP=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export KERASTUNER_ORACLE_PORT=${PORT:-29418}
# The chief only deals out trials; it runs beside the first node's worker, and leaves the GPU to it. It listens to all: its node's own name may
# stand for an address that only that node knows.
srun bash -c 'if [ "$SLURM_PROCID" = 0 ]; then
    KERASTUNER_ORACLE_IP=0.0.0.0 KERASTUNER_TUNER_ID=chief CUDA_VISIBLE_DEVICES= .venv/bin/python src/main.py explore_hyperparameters &
fi
KERASTUNER_TUNER_ID=tuner$SLURM_PROCID .venv/bin/python src/main.py explore_hyperparameters
status=$?
if [ "$SLURM_PROCID" = 0 ] && [ $status = 0 ]; then wait $! || status=$?; fi
exit $status'
