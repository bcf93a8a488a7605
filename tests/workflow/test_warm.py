"""The warm worker: a stage run through it must not be distinguishable from one run by Python, but for the time."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

REPORT = """
import json, os, sys
mask = os.umask(0); os.umask(mask)
json.dump({
    "argv": sys.argv[1:], "name": os.path.basename(sys.argv[0]), "path": sys.path[0], "cwd": os.getcwd(),
    "umask": mask, "environment": dict(os.environ), "encoding": sys.stdout.encoding,
}, sys.stdout)
"""

# Writes its process id and its child's, then both sleep.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""


def eventually(condition, seconds: float = 10):
    """Waits until condition() is true, and returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def has_sent_its_request(client: subprocess.Popen) -> bool:
    """True from when the client passes signals on."""
    caught = Path(f"/proc/{client.pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


class House:
    """A directory of stage scripts with a warm worker of its own; TensorFlow in it is a quick stand-in."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.scripts = directory / "scripts"
        (self.scripts / "permafrost" / "workflow").mkdir(parents=True)
        names = ("__init__.py", "workflow/__init__.py", "workflow/client.py", "workflow/worker.py")
        for name in ("warm.py", *(f"permafrost/{name}" for name in names)):
            shutil.copy(SCRIPTS / name, self.scripts / name)
        self.runtime = directory / "runtime"
        self.runtime.mkdir(mode=0o700)
        self.private = self.runtime / f"permafrost-{os.geteuid()}"
        self.stand_ins = directory / "stand_ins"
        self.stand_ins.mkdir()
        self.imports = directory / "imports"
        self.imports.touch()
        (self.stand_ins / "numpy.py").write_text("import random\n")
        self.tensorflow(f"open({str(self.imports)!r}, 'a').write(f'{{os.getpid()}}\\n')")
        self.environment = os.environ | {
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PYTHONPATH": str(self.stand_ins),
            "WARM_IDLE": "20",
        }
        for name in ("PERMAFROST_RUN", "PERMAFROST_RUN_PID"):
            self.environment.pop(name, None)

    def tensorflow(self, code: str) -> None:
        (self.stand_ins / "tensorflow.py").write_text(f"import os, sys, time\n{code}\n")

    def stage(self, name: str, code: str, before: str = "") -> None:
        """Writes a script whose main function runs `code`, and `before` when it is loaded."""
        body = textwrap.indent(textwrap.dedent(code), "    ")
        main = f"def main(argv=None):\n{body}\n    return 0\n"
        call = "if __name__ == '__main__':\n    raise SystemExit(main())\n"
        (self.scripts / f"{name}.py").write_text(f"{before}\n{main}\n\n{call}")

    def command(self, *arguments) -> list[str]:
        return [sys.executable, "-I", "-S", str(self.scripts / "warm.py"), *map(str, arguments)]

    def run(self, *arguments, **options) -> subprocess.CompletedProcess:
        options = {"env": self.environment, "capture_output": True, "text": True, "timeout": 60} | options
        return subprocess.run(self.command(*arguments), **options)

    def start(self, *arguments, **options) -> subprocess.Popen:
        options = {
            "env": self.environment,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        } | options
        return subprocess.Popen(self.command(*arguments), **options)

    def family(self, name: str) -> list[int]:
        """The process ids that a running FAMILY stage wrote."""
        file = self.directory / name
        return [int(pid) for pid in eventually(lambda: file.exists() and file.read_text()).split()]

    def workers(self) -> list[int]:
        """The process ids of all workers that were started."""
        return [int(line) for line in self.imports.read_text().split()]

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.private.iterdir())


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    for worker in house.workers():
        if not ended(worker):
            os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "return 7",
        "import sys; sys.exit(2)",
        "raise ValueError('ünlucky')",
        "def broken(:",
        "raise KeyboardInterrupt",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os; os.abort()",
        "import os; print('not flushed'); os._exit(9)",
        "import os; print('lost'); os.close(1)",
        "import sys; sys.stdout.reconfigure(errors='backslashreplace'); print('\\udcff', sys.stdout.seekable())",
        "import sys; print('from', sys.stdin.readline(), sys.stdin.read())",
        "import multiprocessing as m\np = m.get_context('fork').Process(target=print, args=('child',))\n"
        "p.start(); p.join()",
    ],
)
def test_ends_and_prints_as_python_does(house, tmp_path, code):
    house.stage("stage", code)
    cold, warm = tmp_path / "cold", tmp_path / "warm"
    results = []
    for place, command in (
        (cold, [sys.executable, str(house.scripts / "stage.py")]),
        (warm, house.command("stage")),
    ):
        place.mkdir()
        done = subprocess.run(
            command, cwd=place, env=house.environment, input="one\ntwo\n", capture_output=True, text=True, timeout=60
        )
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        results.append((status, done.stdout, done.stderr.splitlines()[-1:]))
    assert results[1] == results[0]


def test_arguments_directory_environment_and_umask(house, tmp_path):
    house.stage("report", REPORT)
    house.run("report")
    place = tmp_path / "a place of its own"
    place.mkdir()
    odd = os.fsencode("ü") + b"\xff"
    environment = house.environment | {"ODD": "a\nb=c", "EMPTY": "", "NOT_TEXT": os.fsdecode(odd)}
    del environment["HOME"]
    arguments = ["", "two words", "line\nend", os.fsdecode(odd), "--flag"]
    done = house.run("report", *arguments, cwd=place, env=environment, umask=0o027)
    cold = subprocess.run(
        [sys.executable, house.scripts / "report.py", *arguments],
        cwd=place, env=environment, umask=0o027, capture_output=True, text=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    assert seen == json.loads(cold.stdout)
    assert (seen["cwd"], seen["umask"], seen["argv"]) == (str(place), 0o027, arguments)
    assert seen["path"] == str(house.scripts) and seen["name"] == "report.py"
    assert seen["environment"] == environment
    assert len(house.workers()) == 1


@pytest.mark.parametrize("running", [False, True])
def test_what_needs_no_tensorflow_runs_where_it_starts_soonest(house, tmp_path, running):
    house.stage("report", REPORT + "\nsys.stderr.write(str(os.getppid()))\nreturn 5")
    if running:
        assert house.run("--start").returncode == 0
    command = [sys.executable, str(house.scripts / "report.py"), "--a", "b c"]
    options = {"cwd": tmp_path, "env": house.environment, "umask": 0o027, "capture_output": True, "text": True}
    cold = subprocess.run(command, **options)
    done = subprocess.run(house.command("--if-running", "report", "--a", "b c"), **options)
    assert done.stdout == cold.stdout and done.returncode == cold.returncode == 5
    assert len(house.workers()) == running
    assert int(done.stderr) == (house.workers()[0] if running else os.getpid())


def test_what_needs_no_tensorflow_needs_no_directory_for_a_worker(house):
    house.stage("answer", "import sys; sys.exit(5)")
    house.private.mkdir(mode=0o755)
    assert house.run("answer").returncode == 1
    assert house.run("--if-running", "answer").returncode == 5


def test_the_shells_redirections_work(house, tmp_path):
    house.stage("both", "import os, sys; print('out'); print('err', file=sys.stderr); os.system('echo below')")
    command = " ".join(f"'{word}'" for word in house.command("both"))
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command} 2> err.log | tr a-z A-Z > out.log"],
        cwd=tmp_path, env=house.environment, capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted((tmp_path / "out.log").read_text().split()) == ["BELOW", "OUT"]
    assert (tmp_path / "err.log").read_text() == "err\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_stage_runs_where_standard_streams_are_closed(house, tmp_path, closed):
    house.stage("streams", "import sys; print('lost'); open(sys.argv[1], 'w').write('written')")
    line = " ".join(f"'{word}'" for word in house.command("streams", "file"))
    assert subprocess.run(["bash", "-c", f"{line} {closed}"], cwd=tmp_path, env=house.environment).returncode == 0
    assert (tmp_path / "file").read_text() == "written"


def test_very_long_arguments(house):
    house.stage("count", "import sys; print(len(sys.argv), sum(map(len, sys.argv[1:])), sys.argv[-1])")
    arguments = ["x" * 100_000] + ["word"] * 20_000 + ["last"]
    assert house.run("count", *arguments).stdout == f"20003 {100_000 + 80_000 + 4} last\n"


def test_racing_clients_start_one_worker(house):
    house.tensorflow(f"open({str(house.imports)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(0.5)")
    house.stage("parent", "import os, sys; print(os.getppid(), sys.argv[1])")
    clients = [house.start("parent", number) for number in range(8)]
    printed = [client.communicate(timeout=60)[0].split() for client in clients]
    assert [number for _, number in printed] == [str(number) for number in range(8)]
    assert {int(parent) for parent, _ in printed} == set(house.workers())
    assert len(house.workers()) == 1


def test_a_killed_starter_does_not_lead_to_two_workers(house):
    house.tensorflow(f"open({str(house.imports)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(1)")
    house.stage("nothing", "")
    starter = house.start("nothing")
    eventually(house.workers)
    starter.kill()
    starter.communicate()
    assert house.run("nothing").returncode == 0
    assert len(house.workers()) == 1


def test_each_run_has_its_own_worker(house):
    house.stage("nothing", "")
    for change in (
        {"PERMAFROST_RUN": "one"},
        {"PERMAFROST_RUN": "two"},
        {"PERMAFROST_RUN": "one", "SLURM_JOB_ID": "7"},
    ):
        assert house.run("nothing", env=house.environment | change).returncode == 0
    assert len(house.workers()) == 3


def test_changed_code_is_run_by_another_worker(house):
    module = house.scripts / "permafrost" / "judge" / "judging.py"
    module.parent.mkdir()
    house.stage("ask", "from permafrost.judge.judging import ANSWER; print(ANSWER)")
    for answer in ("before", "afterwards"):
        module.write_text(f"ANSWER = {answer!r}")
        for _ in range(2):
            assert house.run("ask").stdout == f"{answer}\n"
    assert len(house.workers()) == 2


def test_a_changed_stage_is_run_by_another_worker(house):
    for answer in ("before", "afterwards"):
        house.stage("freeze", f"print({answer!r})")
        for _ in range(2):
            assert house.run("freeze").stdout == f"{answer}\n"
    assert len(house.workers()) == 2


@pytest.mark.parametrize("code", ["def", "raise ValueError('Error')", "import no_such_module"])
def test_code_that_cannot_be_imported_fails_its_stage_alone(house, code):
    house.stage("verify", "", before=code)
    house.stage("nothing", "")
    assert house.run("nothing").returncode == 0
    done = house.run("verify")
    assert done.returncode == 1 and "Error" in done.stderr
    assert len(house.workers()) == 1


def test_what_an_editor_keeps_beside_the_scripts_is_left_alone(house):
    (house.scripts / ".#verify.py").symlink_to("someone@somewhere.1234")
    (house.scripts / "gone.py").symlink_to("nowhere")
    house.stage("nothing", "")
    assert house.run("nothing").returncode == 0


def test_permafrosts_modules_do_not_shadow_what_tensorflow_imports(house):
    (house.scripts / "permafrost" / "workflow" / "sandbox.py").write_text("raise SystemExit('the wrong module')")
    (house.stand_ins / "sandbox.py").touch()
    house.tensorflow("import sandbox")
    house.stage("nothing", "")
    done = house.run("nothing", env=house.environment | {"WARM_IDLE": "0"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP])
def test_a_killed_clients_stage_ends_with_its_children(house, tmp_path, end):
    house.stage("family", FAMILY)
    client = house.start("family", tmp_path / "pids")
    stage, child = house.family("pids")
    client.send_signal(end)
    client.communicate()
    eventually(lambda: ended(stage) and ended(child))
    assert not ended(house.workers()[0])


def test_a_client_dies_with_its_shell(house, tmp_path):
    house.stage("family", FAMILY)
    line = " ".join(f"'{word}'" for word in house.command("family", tmp_path / "pids"))
    shell = subprocess.Popen(["bash", "-c", f"{line}; true"], env=house.environment)
    stage, child = house.family("pids")
    shell.kill()
    shell.wait()
    eventually(lambda: ended(stage) and ended(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(house, tmp_path, number):
    house.stage("family", FAMILY)
    client = house.start("family", tmp_path / "pids")
    stage, child = house.family("pids")
    client.send_signal(number)
    _, errors = client.communicate(timeout=10)
    assert client.returncode == 128 + number
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    eventually(lambda: ended(stage) and ended(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_stage_began_ends_it(house, number):
    house.stage("nothing", "")
    house.stage("late", "import time; time.sleep(60)")
    house.run("nothing")
    worker = house.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    client = house.start("late")
    eventually(lambda: has_sent_its_request(client))
    client.send_signal(number)
    os.kill(worker, signal.SIGCONT)
    client.communicate(timeout=10)
    assert client.returncode == 128 + number
    assert house.run("nothing").returncode == 0 and len(house.workers()) == 1


def test_a_stage_may_handle_a_signal(house, tmp_path):
    house.stage(
        "handles",
        """
        import pathlib, signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: print("cleaned up", file=sys.stderr) or sys.exit(3))
        pathlib.Path(sys.argv[1]).write_text("ready")
        time.sleep(60)
        """,
    )
    client = house.start("handles", tmp_path / "ready")
    eventually((tmp_path / "ready").exists)
    client.terminate()
    assert client.communicate(timeout=10)[1] == "cleaned up\n"
    assert client.returncode == 3


def test_a_killed_worker_fails_its_stages_and_the_next_client_starts_another(house, tmp_path):
    house.stage("family", FAMILY)
    house.stage("nothing", "")
    client = house.start("family", tmp_path / "pids")
    stage, child = house.family("pids")
    os.kill(house.workers()[0], signal.SIGKILL)
    _, errors = client.communicate(timeout=10)
    assert client.returncode == 1
    assert errors == "warm.py: the TensorFlow worker ended while the stage was running; the job can be run again\n"
    eventually(lambda: ended(stage) and ended(child))
    assert house.run("nothing").returncode == 0
    assert len(house.workers()) == 2


def test_a_worker_that_goes_before_the_stage_began_is_replaced(house):
    house.stage("nothing", "print('done')")
    house.run("nothing")
    worker = house.workers()[0]
    # It accepts connections, but does nothing any more: the client has connected when the worker ends.
    os.kill(worker, signal.SIGSTOP)
    client = house.start("nothing")
    eventually(lambda: has_sent_its_request(client))
    os.kill(worker, signal.SIGKILL)
    assert client.communicate(timeout=30) == ("done\n", "")
    assert client.returncode == 0
    assert len(house.workers()) == 2


def test_an_idle_worker_ends_and_leaves_nothing(house):
    house.environment["WARM_IDLE"] = "0.3"
    house.stage("nap", "import time; time.sleep(0.8)")
    assert house.run("nap").returncode == 0  # Working is not idling.
    assert len(house.workers()) == 1
    eventually(lambda: ended(house.workers()[0]), 3)
    assert house.files() == []


def test_a_worker_stays_for_a_client_that_has_connected(house):
    house.environment["WARM_IDLE"] = "0"
    house.stage("nap", "import time; time.sleep(0.5)")
    napping = house.start("nap")
    eventually(lambda: house.private.exists() and ".sock" in house.files())
    name = next(path.name for path in house.private.iterdir() if path.suffix == ".sock")
    directory = os.open(house.private, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"/proc/self/fd/{directory}/{name}")
        assert napping.communicate(timeout=10) == ("", "")
        time.sleep(0.3)
        assert not ended(house.workers()[0])
    os.close(directory)
    eventually(lambda: ended(house.workers()[0]), 3)


def test_a_worker_waits_for_the_first_job_of_its_run(house):
    house.environment["WARM_IDLE"] = "0.1"
    house.stage("nothing", "")
    main = subprocess.Popen(["sleep", "60"])
    house.environment["PERMAFROST_RUN_PID"] = str(main.pid)
    assert house.run("--start").returncode == 0
    time.sleep(1.5)
    assert house.run("nothing").returncode == 0
    assert len(house.workers()) == 1
    eventually(lambda: ended(house.workers()[0]), 5)
    main.kill()
    main.wait()


def test_the_worker_ends_with_its_run(house, tmp_path):
    house.stage("family", FAMILY)
    main = subprocess.Popen(["sleep", "60"])
    house.environment["PERMAFROST_RUN_PID"] = str(main.pid)
    client = house.start("family", tmp_path / "pids")
    stage, child = house.family("pids")
    time.sleep(1.2)
    assert not ended(house.workers()[0])
    main.kill()  # Not waited for: a zombie has ended, too.
    eventually(lambda: ended(house.workers()[0]) and ended(stage) and ended(child), 5)
    client.communicate(timeout=10)
    assert client.returncode == 1
    assert house.files() == []
    main.wait()


def test_no_worker_is_started_for_a_run_that_is_over(house):
    house.stage("nothing", "")
    main = subprocess.Popen(["true"])
    main.wait()
    house.environment["PERMAFROST_RUN_PID"] = str(main.pid)
    done = house.run("nothing")
    assert done.returncode == 1 and f"the run of process {main.pid} is over" in done.stderr
    assert house.workers() == []


def test_a_worker_that_cannot_start_says_why(house):
    house.tensorflow("raise ImportError('libsomething.so.3: cannot open shared object file')")
    house.stage("nothing", "")
    done = house.run("nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("warm.py: the TensorFlow worker could not start (status 1); the end of ")
    assert "libsomething.so.3: cannot open shared object file" in done.stderr
    assert "worker.py" in done.stderr and 'warm.py"' not in done.stderr


@pytest.mark.parametrize("kind", ["open to others", "a file", "a link"])
def test_a_directory_that_is_not_private_is_refused(house, tmp_path, kind):
    house.stage("nothing", "")
    if kind == "open to others":
        house.private.mkdir()
        house.private.chmod(0o755)
    elif kind == "a file":
        house.private.touch()
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        house.private.symlink_to(tmp_path / "elsewhere")
    done = house.run("nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"warm.py: {house.private} must be") and done.stderr.count("\n") == 1
    assert house.workers() == []


def test_a_temporary_directory_serves_where_the_runtime_directory_is_missing(house, tmp_path):
    house.stage("nothing", "")
    deep = tmp_path / ("deep" * 40)  # Longer than a socket's path may be.
    deep.mkdir()
    environment = house.environment | {"XDG_RUNTIME_DIR": str(tmp_path / "missing"), "TMPDIR": str(deep)}
    assert house.run("nothing", env=environment).returncode == 0
    assert (deep / f"permafrost-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "arguments",
    [[], ["--if-running"], ["no_such_stage"], ["--if-running", "no_such_stage"], ["permafrost/workflow/worker"]],
)
def test_wrong_usage(house, arguments):
    done = house.run(*arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert house.workers() == []


def test_with_tensorflow_itself(house):
    """It is loaded once for all clients, and without Keras, which a stage can load all the same."""
    shutil.rmtree(house.stand_ins)
    house.stage(
        "compute",
        """
        import gc, sys
        loaded = "tensorflow" in sys.modules and "keras.src" not in sys.modules and gc.isenabled()
        import numpy as np
        import tensorflow as tf
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [2, 2])
            print(loaded, session.run(tf.reduce_sum(x @ x), {x: np.ones([2, 2])}), np.random.rand())
        print(tf.keras.layers.Dense.__name__)
        """,
    )
    environment = house.environment | {"WARM_IDLE": "0.5", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    clients = [house.start("compute", env=environment) for _ in range(2)]
    results = [client.communicate(timeout=120) for client in clients]
    assert [client.returncode for client in clients] == [0, 0], results
    assert [printed.split()[:2] for printed, _ in results] == [["True", "8.0"]] * 2
    assert {printed.split()[3] for printed, _ in results} == {"Dense"}
    assert len({printed.split()[2] for printed, _ in results}) == 2  # Random numbers are not those of the worker.
    eventually(lambda: house.files() == [])
