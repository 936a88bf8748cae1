/* Processes that a launcher of MPI programs left behind when it was killed. */
#ifndef MF_EXEC_REMNANTS_H
#define MF_EXEC_REMNANTS_H

/**
 * mf_remnants_kill() - kill all processes of this user whose environment has a variable.
 *
 * What srun and mpirun start on a node is below a daemon there, and not below this process: only
 * its environment says where it belongs. One that was started by another one in between is found
 * by looking again. What runs in another job of Slurm than this process is none: sbatch hands on
 * the environment of whoever submits.
 *
 * @variable  "NAME=value" that no other process has
 *
 * Some system calls for each process of the user on this node.
 */
void mf_remnants_kill(const char *variable);

#endif
