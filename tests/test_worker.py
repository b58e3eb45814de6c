"""The workers of `book/challenges`: no bad cluster file, and no process left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
from processes import is_gone, is_soon_gone

from book.challenges import worker
from helpers import data

JOB = worker.Job(steps=4, batch_size=6, learning_rate=0.1, seed=3, save_every=2)
SLEEP = "import time; time.sleep(600)"

Processes = list[subprocess.Popen[bytes]]
Watch = Callable[[Processes], object]
Play = Callable[..., Processes]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that runs a job whose workers run the given code instead."""
    monkeypatch.setattr(worker, "GRACE", 0.2)

    def run(code: str, watch: Watch = len, limit: float = 300.0) -> Processes:
        program = tmp_path / "program.py"
        start = "import os, sys\nfolder, index = sys.argv[1:3]\n"
        program.write_text(f"{start}{code}", encoding="utf-8")
        monkeypatch.setattr(worker, "__file__", str(program))
        seen: Processes = []

        def note(processes: Processes) -> None:
            seen[:] = processes
            watch(processes)

        try:
            worker.run_cluster(tmp_path, JOB, note, limit)
        finally:
            assert all(process.returncode is not None for process in seen)
            assert all(is_gone(process.pid) for process in seen)
        return seen

    return run


# --- The description of a cluster ---------------------------------------------------


def test_each_worker_gets_all_addresses_and_its_own_number(tmp_path: Path) -> None:
    """This is the form that TensorFlow documents for TF_CONFIG."""
    cluster = {"worker": ["a.example:1", "b.example:2", "localhost:3"]}
    text = json.dumps(cluster)
    (tmp_path / "cluster.json").write_text(text, encoding="utf-8")
    for index in range(3):
        found = json.loads(worker.tf_config(tmp_path / "cluster.json", index))
        assert found == {"cluster": cluster, "task": {"type": "worker", "index": index}}


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (None, 0),
        ("", 0),
        ("{", 0),
        ("[]", 0),
        ("null", 0),
        ('{"workers": ["a:1"]}', 0),
        ('{"worker": []}', 0),
        ('{"worker": 5}', 0),
        ('{"worker": [5]}', 0),
        ('{"worker": [["a:1"]]}', 0),
        ('{"worker": "a:1"}', 0),
        ('{"worker": ["a"]}', 0),
        ('{"worker": ["a:port"]}', 0),
        ('{"worker": ["a:1", "a:1"]}', 0),
        ('{"worker": ["a:1", "b"]}', 0),
        ('{"worker": ["a:1", "b:2"]}', 2),
        ('{"worker": ["a:1", "b:2"]}', -1),
    ],
)
def test_a_bad_cluster_file_is_refused(
    text: str | None, index: int, tmp_path: Path
) -> None:
    """The error names the file, the worker, what it holds and what is expected."""
    if text is not None:
        (tmp_path / "cluster.json").write_text(text, encoding="utf-8")
    with pytest.raises(worker.ClusterError) as caught:
        worker.tf_config(tmp_path / "cluster.json", index)
    for part in ("cluster.json", f"worker {index}", text or "", '["host:port", ...]'):
        assert part in str(caught.value)


# --- Processes ----------------------------------------------------------------------


def test_both_workers_get_the_job_and_the_cluster(play: Play, tmp_path: Path) -> None:
    """Each runs once, with its number; what it prints is in its log."""
    play("print('I am', index); print(os.path.samefile(folder, '.') or folder)")
    for index in range(2):
        log = (tmp_path / f"worker-{index}.log").read_text(encoding="utf-8")
        assert f"I am {index}" in log
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    assert worker.Job(**job) == JOB
    text = (tmp_path / "cluster.json").read_text(encoding="utf-8")
    found = json.loads(text)["worker"]
    assert len(set(found)) == 2 and all(a.startswith("localhost:") for a in found)


def test_a_reason_in_any_encoding_is_read(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may know ASCII only; a log may hold bytes that are no text at all."""
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONUTF8", "0")
    code = "os.write(2, b'\\xff\\n')\nsys.exit('Köln')"
    with pytest.raises(worker.ClusterError, match=r"Worker [01] failed: Köln"):
        play(code)
    (tmp_path / "cluster.json").write_bytes(b"\xff")
    with pytest.raises(worker.ClusterError, match="does not describe worker 0"):
        worker.tf_config(tmp_path / "cluster.json", 0)


def test_the_notebooks_import_works_from_any_folder(tmp_path: Path) -> None:
    """Also where Python does not look into the folder it runs in."""
    path = Path(worker.__file__).parent / "scale_out.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    (line,) = [
        line
        for cell in cells
        for line in cell.source.splitlines()
        if re.match(r"(from|import)\b.*\bworker\b", line)
    ]
    for safe in ("", "1"):
        subprocess.run(
            [sys.executable, "-c", line],
            cwd=tmp_path,
            env=os.environ | {"PYTHONSAFEPATH": safe},
            check=True,
        )


@pytest.mark.parametrize("index", [0, 1])
def test_a_failure_names_the_worker_and_ends_the_other(play: Play, index: int) -> None:
    """The last line of its log is quoted; nobody waits for the other's work."""
    code = f"if index == '{index}': print('a'); sys.exit('the reason')\n{SLEEP}"
    seen: Processes = []
    with pytest.raises(worker.ClusterError, match=f"Worker {index} failed: the reason"):
        play(code, watch=seen.extend)
    assert seen[1 - index].returncode == -signal.SIGKILL


def test_the_first_to_fail_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that fails as a consequence is not to blame."""
    monkeypatch.setattr(worker, "GRACE", 15)
    code = (
        "import pathlib, time\n"
        "mark = pathlib.Path(folder, 'mark')\n"
        "if index == '1': mark.touch(); sys.exit('first')\n"
        "while not mark.exists(): time.sleep(0.01)\n"
        "time.sleep(1); sys.exit('second')"
    )
    with pytest.raises(worker.ClusterError, match="Worker 1 failed: first"):
        play(code)


def test_a_worker_that_was_killed_is_named(play: Play) -> None:
    """A signal leaves no message of its own."""
    with pytest.raises(worker.ClusterError, match="Worker 1 was killed by signal 9"):
        play(SLEEP, watch=lambda processes: processes[1].kill())


def test_the_killed_is_named_also_if_the_other_ends_at_once(play: Play) -> None:
    """On a busy machine both may have ended before anybody looks."""
    looks: Processes = []

    def kill(processes: Processes) -> None:
        looks.append(processes[1])
        processes[1].kill()
        processes[0].wait()

    with pytest.raises(worker.ClusterError, match="Worker 1 was killed"):
        play(f"if index == '0': sys.exit('gone')\n{SLEEP}", watch=kill)
    assert len(looks) == 1


def test_a_process_is_there_until_it_has_ended() -> None:
    """The notebook asks before and after it kills."""
    assert worker.is_there(os.getpid())
    with subprocess.Popen([sys.executable, "-c", SLEEP]) as process:
        assert worker.is_there(process.pid)
        process.kill()
    assert not worker.is_there(process.pid)


def test_when_the_time_is_over_nothing_is_left(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker has started ends with it."""
    children = [tmp_path / f"child-{index}" for index in range(2)]

    def clock() -> float:  # the time is over when both have done that much
        return float(all(path.exists() for path in children))

    code = (
        "import subprocess, pathlib\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "pathlib.Path(folder, 'draft-' + index).write_text(str(child.pid))\n"
        "os.rename(folder + '/draft-' + index, folder + '/child-' + index)\n" + SLEEP
    )
    own = SimpleNamespace(monotonic=clock, sleep=time.sleep)
    monkeypatch.setattr(worker, "time", own)
    with pytest.raises(worker.ClusterError, match="time is over"):
        play(code, limit=0.5)
    for path in children:
        assert is_soon_gone(int(path.read_text(encoding="utf-8")))


def test_an_interrupt_leaves_nothing(play: Play) -> None:
    """`play` sees that both processes are gone."""

    def interrupt(processes: Processes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(SLEEP, watch=interrupt)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_port_that_was_taken_is_tried_again(
    play: Play, tmp_path: Path, times: int
) -> None:
    """Twice, each time with other ports; then the error is reported."""
    code = (
        "import pathlib\n"
        "cluster = pathlib.Path(folder, 'cluster.json').read_text('utf-8')\n"
        "if index == '1':\n"
        "    with open(pathlib.Path(folder, 'tries'), 'a') as file:\n"
        "        print(cluster, file=file)\n"
        "    tries = open(pathlib.Path(folder, 'tries')).read().splitlines()\n"
        f"    if len(tries) <= {times}:\n"
        "        sys.exit('UnknownError: Could not start gRPC server')\n"
    )
    if times < 3:
        play(code)
    else:
        with pytest.raises(worker.ClusterError, match="gRPC"):
            play(code)
    tries = (tmp_path / "tries").read_text(encoding="utf-8").splitlines()
    assert len(tries) == min(times + 1, 3)
    assert len(set(tries)) > 1


def test_a_worker_ends_with_the_process_that_started_it() -> None:
    """Also when that was killed, and could not end anybody."""
    code = "import threading; from book.challenges import worker\n"
    code += "threading.Thread(target=worker._end_with_parent, "
    child = code + f"daemon=True).start(); print('up', flush=True)\n{SLEEP}"
    parent = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], -1, None, -1, -1)\n"
        "p.stdout.readline(); print(p.pid, flush=True); p.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=-1) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert not is_gone(pid)
        os.kill(process.pid, signal.SIGKILL)
    assert is_soon_gone(pid)


# --- Training -----------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> data.Split:
    """Put forty random images in the place of MNIST."""
    rng = np.random.default_rng(0)
    split = data.Split(rng.random((40, 28, 28), np.float32), np.arange(40) % 10)
    loaded = data.ImageData("tiny", split, split, split, tuple("0123456789"), "full")
    monkeypatch.setattr(data, "load_mnist", lambda: loaded)
    return split


def trained(folder: Path, job: worker.Job) -> list[np.ndarray]:
    """Train in this process; return the arrays of the checkpoint."""
    tf = pytest.importorskip("tensorflow")
    worker.train(job, tf.distribute.get_strategy(), 0, folder)
    steps, arrays = worker.read_checkpoint(folder)
    assert steps == job.steps
    return arrays


def head_gradient(weights: list[np.ndarray], split: data.Split) -> np.ndarray:
    """Return the gradient of the summed loss for the last kernel, in NumPy."""
    a = split.x.reshape(len(split.x), -1)
    for kernel, bias in (weights[0:2], weights[2:4]):
        a = np.maximum(a @ kernel + bias, 0)
    chances = np.exp(a @ weights[4] + weights[5])
    chances /= chances.sum(axis=1, keepdims=True)
    return a.T @ (chances - np.eye(10)[split.y])


def start_and_batches(split: data.Split) -> tuple[list[np.ndarray], list[data.Split]]:
    """Return the initial weights of `JOB` and its batches."""
    from helpers import models, sweeps, training

    recipe = sweeps.Recipe(JOB.steps, JOB.batch_size)
    batches = sweeps.draw_batches(len(split.y), recipe, JOB.seed)
    training.set_seed(JOB.seed)
    weights = models.dense_network().get_weights()
    return weights, [data.Split(split.x[b], split.y[b]) for b in batches]


def test_the_loop_trains_as_the_formulas_of_momentum_say(
    tiny: data.Split, tmp_path: Path
) -> None:
    """Two steps of the last layer, against softmax and momentum by hand."""
    first = trained(tmp_path, JOB._replace(steps=1))
    second = trained(tmp_path, JOB._replace(steps=2))
    weights, batches = start_and_batches(tiny)
    velocity = -0.1 * head_gradient(weights, batches[0]) / 6
    np.testing.assert_allclose(first[4], weights[4] + velocity, atol=1e-6)
    velocity = 0.9 * velocity - 0.1 * head_gradient(first[:6], batches[1]) / 6
    np.testing.assert_allclose(second[4], first[4] + velocity, atol=1e-6)


@pytest.mark.parametrize("index", [0, 3])
def test_a_worker_takes_its_part_and_divides_by_the_whole_batch(
    tiny: data.Split, tmp_path: Path, index: int
) -> None:
    """Four share six images as 2, 2, 1 and 1; only worker 0 writes a checkpoint."""
    tf = pytest.importorskip("tensorflow")

    class OneOfFour:
        """The default strategy, which knows one worker, says that there are four."""

        num_replicas_in_sync = 4
        scope = staticmethod(tf.distribute.get_strategy().scope)
        run = staticmethod(tf.distribute.get_strategy().run)
        reduce = staticmethod(tf.distribute.get_strategy().reduce)

    weights, batches = start_and_batches(tiny)
    part = data.Split(batches[0].x[:2], batches[0].y[:2])
    worker.train(JOB._replace(steps=1), OneOfFour(), index, tmp_path)
    if index:
        assert not (tmp_path / "checkpoint.npz").exists()
        return
    moved = worker.read_checkpoint(tmp_path)[1][4] - weights[4]
    np.testing.assert_allclose(
        moved, -0.1 * head_gradient(weights, part) / 6, atol=1e-6
    )


def test_workers_with_different_data_refuse_to_start(
    tiny: data.Split, tmp_path: Path
) -> None:
    """One machine may have fallen back on the sample; its batches were others."""
    tf = pytest.importorskip("tensorflow")

    class TwoOthersHaveMore:
        """The default strategy, with a mean over workers that is not ours."""

        run = staticmethod(tf.distribute.get_strategy().run)

        @staticmethod
        def reduce(operation: str, values: float, axis: None) -> object:
            """Return the mean of 40, 100 and 100."""
            assert (operation, float(values), axis) == ("MEAN", 40, None)
            return tf.constant(80.0)

    with pytest.raises(worker.ClusterError, match="Worker 1 has 40 images"):
        worker.train(JOB, TwoOthersHaveMore(), 1, tmp_path)


def test_going_on_from_a_checkpoint_changes_nothing(
    tiny: data.Split, tmp_path: Path
) -> None:
    """Weights, momentum and the order of the images are those of one long run."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = trained(tmp_path / "whole", JOB)
    trained(tmp_path / "parts", JOB._replace(steps=2))
    parts = trained(tmp_path / "parts", JOB)
    assert all(map(np.array_equal, whole, parts))


def test_the_precision_holds_also_after_a_model_was_built() -> None:
    """Keras keeps the policy of its first layer; `set_floatx` alone would not do."""
    keras = pytest.importorskip("keras")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with worker.precision("float64"):
        assert found_precisions(keras) == {"float64"}
    assert found_precisions(keras) == {"float32"}
    with pytest.raises(ZeroDivisionError), worker.precision("float64"):
        raise ZeroDivisionError
    assert found_precisions(keras) == {"float32"}


def found_precisions(keras: Any) -> set[str]:
    """Return in which precisions a new layer and a new loss compute."""
    layer = keras.layers.Dense(1)
    layer.build((None, 2))
    return {layer.kernel.dtype, keras.losses.MeanSquaredError().dtype}
