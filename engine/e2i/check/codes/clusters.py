"""Codes of errors of clusters that execute steps. They can only arise in a run, or while a cluster is started."""

from __future__ import annotations

from e2i.spec.problems import Code

CODES = (
    Code(
        "cluster-gone",
        "A cluster that cannot be reached",
        "The scheduler of the cluster does not answer, the connection to it was lost, or the storage that it shares "
        "with the engine cannot be used. The run ends with exit code 4; what has finished is kept.",
        "Run the same command again when the cluster is back: the run is resumed. `e2i doctor` shows the cluster.",
        example="The machine of the scheduler is restarted during a run.",
    ),
    Code(
        "cluster-not-encrypted",
        "A cluster whose address is not encrypted",
        "Anybody who reaches an open cluster can run code on its nodes and read what they are sent. So only addresses "
        "that begin with tls:// are used, with certificates on both sides.",
        "Start scheduler and workers with certificates, and write `address: tls://HOST:PORT`.",
        example="executor: {type: dask, address: tcp://10.0.0.7:8786, …}, in config/default.yaml",
    ),
    Code(
        "cluster-storage",
        "An artifact that a node cannot fetch or store",
        "Inputs and results pass through the storage in the settings of the cluster. A node could not reach it, or it "
        "did not have the artifact. The step was tried on several nodes.",
        "Check that every node reaches the storage under the same URL, and may write there.",
        example="file:///net/e2i is not mounted on a node.",
    ),
    Code(
        "no-fitting-node",
        "A cluster without a node for a step",
        "No node has had the labels, GPUs, cores or memory that a step requests for the time that `executor: wait:` "
        "allows. The run ends with exit code 4; what has finished is kept. The message names what each node lacks.",
        "Start a worker that declares them by `--resources`, or request less, and run the same command again.",
        example="resources: {gpus: 1}, and the only node with a GPU has gone.",
    ),
    Code(
        "no-node",
        "A cluster without nodes",
        "The scheduler answers, and no worker has been connected to it for the time that `executor: wait:` allows.",
        "Start workers, and run the same command again.",
        example="All workers have reached the time limit of their SLURM jobs.",
    ),
    Code(
        "no-usable-node",
        "A cluster of which every node is refused",
        "A node is refused when its versions of e2i or of the libraries differ from the plan's, when its disk is full, "
        "or when it returned a result that is not that of the step. The message names each node with its reason.",
        "Install the same versions on the nodes as where the run is started, or correct what the message names.",
        example="The nodes have xgboost 3.1, and the plan was made with 3.2.",
    ),
    Code(
        "node-failed",
        "A node that failed while it executed a step",
        "The program on the node failed outside the step's own process. The step was tried on several nodes.",
        "See the log of the node's worker.",
        example="The folder of the worker was removed while it ran.",
    ),
    Code(
        "node-lost",
        "A step whose nodes were lost",
        "The nodes that executed the step were lost or stayed silent, several times in a row.",
        "See the logs of the nodes: a step may use more memory than its node has.",
        example="A worker is killed by its batch system whenever the step runs.",
    ),
    Code(
        "node-refused",
        "A step whose nodes were refused",
        "Several nodes in a row were refused, because of other versions or of results that were not those of the step.",
        "See the warnings of the step, which name each node with its reason.",
        example="Four of six nodes have another version of pandas.",
    ),
)
