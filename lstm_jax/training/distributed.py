"""Many processes as one program: how they find each other, and how one of them ends."""

import contextlib
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import jax

from lstm_jax.errors import UserError

_PATIENCE = 3  # times the timeout, for all to start


class Address(NamedTuple):
    """Where a process stands among the others; None for what the scheduler knows.

    Attributes:
      coordinator: host and port of process 0, which all others ask for each other.
      num_processes: how many there are.
      process_id: which one this is, from 0.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


ALONE = Address()

# Flags of `lstm-jax train`, and the variables that stand for them. JAX itself reads the first.
FLAGS = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}


def join(given: Address = ALONE, timeout: int = 100) -> None:
    """Joins the other processes, if there are any; to be called before any device is used.

    What is not given by flags or by the variables of `FLAGS` is left to `jax.distributed`, which
    knows Cloud TPU, SLURM and Open MPI. One process that nobody started as one of several goes on
    alone, and nothing is done.

    Args:
      given: what is known.
      timeout: seconds after which a process that is not heard of counts as lost; the start waits
        three times as long for the others.

    Raises:
      UserError: what is given is not enough, or contradicts itself, or nobody answers.
    """
    address = _complete(given, os.environ)
    scheduler = find_scheduler(os.environ)
    if not any(part is not None for part in address) and scheduler is None:
        return
    if None in address and scheduler is None:
        missing = [f"--{flag}" for flag, part in zip(FLAGS, address, strict=True) if part is None]
        raise UserError(
            f"of several processes each needs --{', --'.join(FLAGS)}, or their variables "
            f"{', '.join(FLAGS.values())}; not given: {', '.join(missing)}"
        )
    _require_sound(address)
    if timeout < 1:
        raise UserError(f"--process_timeout: must be at least 1, got {timeout}")
    if address.num_processes == 1:
        return
    wait = _PATIENCE * timeout
    with _within(wait, _nobody_came(address, wait)):
        if _connect(address, timeout, wait):
            _require_all(address)


def find_scheduler(environment: Mapping[str, str]) -> str | None:
    """Who started this process as one of several, in words that JAX finds too; None for nobody.

    >>> find_scheduler({"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2"})
    'SLURM'
    >>> find_scheduler({"SLURM_STEP_NODELIST": "node1", "SLURM_NTASKS": "1"})

    On a machine with TPUs it is the machine that says whether it is one of several: JAX asks it.
    """

    def several(name: str) -> bool:
        count = environment.get(name, "")
        return count.isdecimal() and int(count) > 1

    if "SLURM_STEP_NODELIST" in environment and several("SLURM_NTASKS"):
        return "SLURM"
    if "OMPI_MCA_orte_hnp_uri" in environment and several("OMPI_COMM_WORLD_SIZE"):
        return "Open MPI"
    for name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES"):
        if name in environment:  # Kubernetes, and notebooks, whose single worker may have no name
            pod = "," in environment[name] or several("MEGASCALE_NUM_SLICES")
            return "Cloud TPU" if pod else None
    return "Cloud TPU" if importlib.util.find_spec("libtpu") is not None else None


def leave(code: int) -> NoReturn:
    """Ends this process at once: the usual way out waits for the others, who wait for this one."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def name_of_this() -> str:
    """The process in words, from 0."""
    return f"process {jax.process_index()} of {jax.process_count()}"


def _complete(given: Address, environment: Mapping[str, str]) -> Address:
    """What is given, and what the variables say of the rest."""
    texts: dict[str, Any] = {
        flag: environment.get(variable) or None for flag, variable in FLAGS.items()
    }
    for flag in ("num_processes", "process_id"):
        text = texts[flag]
        if text is not None:
            if not text.isdecimal():
                raise UserError(f"{FLAGS[flag]}: must be a number, got {text!r}")
            texts[flag] = int(text)
    chosen = {flag: value for flag, value in given._asdict().items() if value is not None}
    return Address(**{**texts, **chosen})


def _require_sound(address: Address) -> None:
    coordinator, count, number = address
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"--coordinator: must be HOST:PORT, got {coordinator!r}")
        with contextlib.suppress(UnicodeError):
            try:
                socket.getaddrinfo(host.strip("[]"), int(port))
            except socket.gaierror as error:
                raise UserError(f"--coordinator: {host} is no host here ({error})") from None
    if count is not None and count < 1:
        raise UserError(f"--num_processes: must be at least 1, got {count}")
    if number is not None and (number < 0 or (count is not None and number >= count)):
        allowed = "0 or more" if count is None else f"from 0 to {count - 1}"
        raise UserError(f"--process_id: must be {allowed}, got {number}")


def _connect(address: Address, timeout: int, wait: int) -> bool:
    """Whether there are others, to which this process is now connected."""
    before = signal.getsignal(signal.SIGTERM)
    # With all three given nothing is looked for, and every device of the machine is this process's.
    options: dict[str, Any] = {} if None in address else {"cluster_detection_method": "deactivate"}
    try:
        jax.distributed.initialize(
            *address,
            initialization_timeout=wait + 60,  # it aborts the process; we say why, before
            heartbeat_timeout_seconds=timeout,
            shutdown_timeout_seconds=wait,
            **options,
        )
    except ValueError as error:
        if not any(part is not None for part in address) and find_scheduler({}) is not None:
            return False  # libtpu is installed where there is no TPU
        raise UserError(f"JAX cannot tell where the processes meet: {error}") from None
    except RuntimeError as error:
        line = str(error).splitlines()[0]
        raise UserError(f"the processes cannot be connected: {line}") from None
    if threading.current_thread() is threading.main_thread() and before is not None:
        signal.signal(signal.SIGTERM, before)  # the connection has a handler of its own
    return True


def _require_all(address: Address) -> None:
    """Asks for the devices of all, which takes all of them."""
    devices, count = jax.devices(), jax.process_count()
    wanted = address.num_processes
    if wanted not in (None, count):
        raise UserError(f"--num_processes is {wanted}, and {count} processes are there")
    each = dict.fromkeys(range(count), 0)
    for device in devices:
        each[device.process_index] += 1
    if len(set(each.values())) > 1:
        listed = ", ".join(f"process {process} has {n}" for process, n in each.items())
        raise UserError(f"every process needs as many devices as any other: {listed}")


def _nobody_came(address: Address, wait: int) -> str:
    coordinator, count, number = address
    if coordinator is None:
        return f"the processes of this job did not find each other within {wait} s"
    same = "were all started, with the same --coordinator and --num_processes?"
    if number == 0:
        return (
            f"process 0 waited {wait} s at {coordinator}, and not all of {count} processes came; "
            f"{same}"
        )
    return (
        f"process {number} of {count} waited {wait} s: no process 0 that knows it answers at "
        f"{coordinator}; {same}"
    )


@contextlib.contextmanager
def _within(seconds: int, text: str) -> Iterator[None]:
    """Ends the process with a sentence if it takes longer: the wait itself cannot be ended."""

    def give_up() -> None:
        os.write(2, f"lstm-jax: {text}\n".encode())
        leave(2)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
