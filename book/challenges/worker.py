"""Train the book's dense network on several machines at once.

Every machine of a cluster runs `python worker.py FOLDER INDEX` with an INDEX of
its own: 0, 1 and so on. All see FOLDER. It holds `job.json`, the fields of
`Job`, and `cluster.json`, the one file that differs between clusters, such as
{"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}. Worker 0 writes checkpoints
there; a job that finds one goes on from it. On one machine, `run_cluster`
starts both workers and sees to it that none outlives the job.
"""
# ruff: noqa: ANN001, ANN202 (a page shows the core of `train`: as short as it gets)

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SETTINGS = {"no_grpc_proxy": "localhost", "PYTHONUTF8": "1"}  # of a worker here
GRACE = 30.0  # seconds for the other to end by itself once one has failed


class ClusterError(RuntimeError):
    """The cluster is described wrongly, or a worker ended before its work."""


class Job(NamedTuple):
    """A training by gradient descent with momentum 0.9."""

    steps: int
    batch_size: int  # images per update, all workers together
    learning_rate: float
    seed: int  # names the initial weights and the order of the images
    save_every: int = 50  # steps from one checkpoint to the next
    floatx: str = "float32"  # of weights and gradients; "float64" to check


def tf_config(cluster: Path, index: int) -> str:
    """Return worker `index`'s TF_CONFIG; a bad file raises ClusterError."""
    text = "no such file"
    if cluster.exists():
        text = cluster.read_text(encoding="utf-8", errors="replace")
    try:
        addresses = json.loads(text)["worker"]
        good = {a for a in addresses if re.fullmatch(r"[^\s:]+:\d+", a)}
    except (ValueError, LookupError, TypeError):
        addresses, good = [], set()
    if not len(good) == len(addresses) > index >= 0:
        raise ClusterError(
            f"{cluster.name} does not describe worker {index}: {text}. "
            'Expected {"worker": ["host:port", ...]}, a different address for '
            "each."
        )
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": addresses}, "task": task})


def read_checkpoint(folder: Path) -> tuple[int, list[np.ndarray]]:
    """Return the steps made, and all arrays, weights first."""
    with np.load(folder / "checkpoint.npz", allow_pickle=False) as file:
        step, *arrays = [file[name] for name in file.files]
    return int(step), arrays


def is_there(pid: int) -> bool:
    """Ask the operating system whether a process has this number."""
    try:
        os.kill(pid, 0)  # signal 0 does nothing to it
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def precision(floatx: str) -> Iterator[None]:
    """Let Keras compute with "float32" or "float64" inside a `with`."""
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)  # losses follow this,
    keras.config.set_dtype_policy(floatx)  # layers this, once one was built
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def train(job: Job, strategy: Any, index: int, folder: Path) -> None:
    """Do the part of worker `index`, under a `tf.distribute.Strategy`."""
    import keras
    import tensorflow as tf

    from helpers import data, models, sweeps, training

    images, labels = data.load_mnist().train
    counts = strategy.run(lambda: tf.constant(len(labels), tf.float64))
    if round(float(strategy.reduce("MEAN", counts, axis=None))) != len(labels):
        raise ClusterError(
            f"Worker {index} has {len(labels)} images, and not all have as "
            "many. Give all the same data: see BOOK_DATA_DIR and "
            "BOOK_DATA_TIER."
        )
    recipe = sweeps.Recipe(job.steps, job.batch_size)
    batches = sweeps.draw_batches(len(labels), recipe, job.seed)
    training.set_seed(job.seed)
    with strategy.scope():
        model = models.dense_network()
        optimizer = keras.optimizers.SGD(job.learning_rate, momentum=0.9)
        optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(True, reduction="sum")

    def update(x, y):  # on one worker, with its part of the batch
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True)) / job.batch_size
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients)  # Keras first sums them over the workers
        return loss

    @tf.function
    def step(x, y):
        losses = strategy.run(update, args=(x, y))
        return strategy.reduce("SUM", losses, axis=None)

    first, variables = 0, [*model.weights, *optimizer.variables]
    if (folder / "checkpoint.npz").exists():
        first, arrays = read_checkpoint(folder)
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
    for done, batch in enumerate(batches[first:], start=first + 1):
        mine = np.array_split(batch, strategy.num_replicas_in_sync)[index]
        loss = float(step(tf.constant(images[mine]), tf.constant(labels[mine])))
        if index == 0 and (done % job.save_every == 0 or done == job.steps):
            arrays = [variable.numpy() for variable in variables]
            np.savez(folder / "part.npz", done, *arrays)
            (folder / "part.npz").replace(folder / "checkpoint.npz")
            print(f"step {done}: loss {loss:.4f}", flush=True)


def run_cluster(
    folder: Path, job: Job, watch: Callable | None = None, limit: float = 480.0
) -> None:
    """Run a job with two workers; `watch` gets their processes every moment.

    Raises ClusterError if one fails or `limit` seconds are over. No process is
    left in any case. What they print is in `worker-0.log` and `worker-1.log`.
    """
    deadline = time.monotonic() + limit
    text = json.dumps(job._asdict())
    (folder / "job.json").write_text(text, encoding="utf-8")
    for _ in range(3):  # somebody may take a port before we use it
        servers = [socket.create_server(("", 0)) for _ in range(2)]
        addresses = [f"localhost:{s.getsockname()[1]}" for s in servers]
        cluster = json.dumps({"worker": addresses})
        (folder / "cluster.json").write_text(cluster, encoding="utf-8")
        for server in servers:
            server.close()
        problem = _run_once(folder, watch, deadline)
        if "Could not start gRPC server" not in problem:  # TensorFlow's words
            break
    if problem:
        raise ClusterError(
            f"{problem.rstrip('.')}. No process of the job is left."
        )


def _run_once(folder: Path, watch: Callable | None, deadline: float) -> str:
    """Start two workers, see both end, and say what went wrong, if anything."""
    processes: list[subprocess.Popen[bytes]] = []
    codes: list[int | None] = [None]
    failed: tuple[int, int] | None = None  # the first: its code, its number
    try:
        for index in range(2):
            with (folder / f"worker-{index}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, __file__, folder, str(index), "attended"],
                    stdin=subprocess.PIPE,  # closes when this process ends
                    stdout=log,
                    stderr=log,
                    env=os.environ | SETTINGS,
                    start_new_session=True,  # Ctrl-C is for this process alone
                )
            processes.append(process)
        while None in codes and time.monotonic() < deadline:
            if watch:
                watch(processes)
            time.sleep(0.02)
            codes = [process.poll() for process in processes]
            if failed is None and any(codes):
                # A killed one, below 0, is the cause and not the consequence.
                failed = min((code, i) for i, code in enumerate(codes) if code)
                deadline = min(deadline, time.monotonic() + GRACE)
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        for process in processes:
            process.communicate()  # closes stdin and waits
    if failed is None:
        return "The time is over, the work is not done" if None in codes else ""
    code, index = failed
    if code < 0:
        return f"Worker {index} was killed by signal {-code}"
    path = folder / f"worker-{index}.log"
    said = path.read_text(encoding="utf-8", errors="replace").strip()
    return f"Worker {index} failed: {said.rpartition(chr(10))[2]}"


def _end_with_parent() -> None:
    """End this process when nobody holds the other end of its stdin."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Be one worker, on whatever machine this is."""
    folder, index = Path(sys.argv[1]), int(sys.argv[2])
    if "attended" in sys.argv:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        os.environ["TF_CONFIG"] = tf_config(folder / "cluster.json", index)
        text = (folder / "job.json").read_text(encoding="utf-8")
        job = Job(**json.loads(text))
        import tensorflow as tf

        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
            with precision(job.floatx):
                train(job, strategy, index, folder)
        except tf.errors.UnavailableError as error:
            sys.exit(f"{error}\nanother worker is gone; start again to go on")
    except ClusterError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
