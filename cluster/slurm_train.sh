#!/bin/bash
# Trains the final model on several nodes together: sbatch cluster/slurm_train.sh, from the project's root, which lies in a shared folder.
# The nodes' share of a batch is TRAINING_BATCH_SIZE / nodes.
#SBATCH --job-name=train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
# With GPUs, one worker per node uses all that the node gives:
##SBATCH --gpus-per-node=1

set -e
STEP=${1:-train_final_model}   # or cross_validate_train_set
PORT=${PORT:-29417}

export WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$PORT\"/" | paste -sd,)
export STEP
# Each task tells TensorFlow who the others are, and which of them it is itself.
srun bash -c 'export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
exec .venv/bin/python src/main.py "$STEP"'
