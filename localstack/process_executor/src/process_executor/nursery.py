"""The nursery: one small process per interpreter, from which execution environments are forked.

LocalStack has hundreds of threads and half a gigabyte; forking it is slow and unsafe. This program is neither: it has
one thread, has the runtime client's modules imported, and forks an environment in a few milliseconds. It is run by
path, under any CPython from 3.9 on, and imports nothing but the standard library. A few environments are forked ahead
and wait for their orders: the pool.

The tree of one environment::

    LocalStack -> nursery -> keeper -> the function's process -> whatever it starts

The keeper is the init of the environment: it collects orphans, reports how the function's process ended, and takes
everything below it along when it goes. Nobody outlives LocalStack: the nursery ends when LocalStack's end of the
control socket closes (``kill -9`` closes it too), and each keeper gets SIGTERM when the nursery dies.

Where the kernel allows, the nursery lives in a root file system of its own (``/var/lang`` is the prefix of what runs
functions, ``/var/runtime`` the runtime client), and each environment in mount and PID namespaces of its own with
``/var/task``, ``/opt`` and ``/tmp``.
"""

# Plain os calls: all of this runs around a fork, and what it imports stays in every function's memory. Imports in
# functions are for the moment before the interpreter ends, or before the first fork.
# ruff: noqa: PTH100, PTH101, PTH102, PTH103, PTH106, PTH108, PTH110, PTH112, PTH113, PTH114, PTH115, PTH116, PTH119, PTH120, PTH123, PTH208, PTH211, PLC0415

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import re
import resource
import runpy
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    Order = dict[str, Any]  # as LocalStack's side writes it: spawner.Order
    Config = dict[str, Any]  # as LocalStack's side writes it: spawner.Nursery

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_MM = 35
PR_SET_MM_ENV_END = 11
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_READ_SEARCH = 2
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
MACHINE = os.uname().machine
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(MACHINE, -1)
CAPSET = {"x86_64": 126, "aarch64": 91}.get(MACHINE, -1)
CAPABILITY_VERSION_3 = 0x20080522

MESSAGE_LIMIT = 1 << 20
DESCRIPTOR_LIMIT = 1 << 16
# AWS's runtime writes framed log records to this descriptor: record boundaries survive line breaks.
TELEMETRY_FD = 62
TELEMETRY_VARIABLE = "_LAMBDA_TELEMETRY_LOG_FD"
CONNECTION_FD = 15  # to the Runtime API, as nodejs/index.mjs has it
# As AWS's functions run: sbx_user1051.
SANDBOX_UID = 993
SANDBOX_GID = 990
SANDBOX_USER = "sbx_user1051"
# The nursery is started with a variable of this name and size: a fork's variables take the room of its own.
ROOM, ROOM_BYTES = "ROOM", 16 << 10
# No host variables, no user's packages, no site-packages.
FLAGS = ("-E", "-s", "-S")
SHOWN_BY_FLAGS = ("ignore_environment", "no_user_site", "no_site")
PROGRAM_FOLDERS = ("etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
HOST_FOLDERS = ("proc", "sys", *PROGRAM_FOLDERS)
# There is no /dev/shm on AWS (what shares memory or locks between processes fails), and no pseudo-terminal.
DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
OWN_FOLDERS = ("boot", "dev", "home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "var", "host", "environments")
VAR_FOLDERS = ("task", "runtime", "lang", "tmp")
# What the runtime client imports, but for its modules that read their environment when they are loaded.
STANDARD_MODULES = ("concurrent.futures.thread", "decimal", "http.client", "logging", "threading", "traceback")
RUNTIME_MODULES = (
    *("awslambdaric.lambda_config", "awslambdaric.lambda_context", "awslambdaric.lambda_runtime_exception"),
    *("awslambdaric.lambda_runtime_log_utils", "awslambdaric.lambda_runtime_marshaller"),
    *("simplejson", "snapshot_restore_py"),
)
# AWS's is there too.
ENTRYPOINT, ENTRYPOINT_TEXT = "/lambda-entrypoint.sh", '#!/bin/sh\nexec /var/runtime/bootstrap "$@"\n'
FAILED_TO_MAKE = 71  # EX_OSERR
REFILL_MS = 100  # the pool is filled when what was started last has started
# As functions on AWS find them.
LIMITS = {"RLIMIT_MEMLOCK": 64 << 10, "RLIMIT_NOFILE": 1024, "RLIMIT_NPROC": 742}

libc = ctypes.CDLL(None, use_errno=True)
stdlib_path: list[str] = []
# The modules beside this one.
places: Any = None  # without a mount namespace
bootstrap: Any = None


def check(result: int, what: str) -> None:
    """Raise OSError naming ``what`` when a libc call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process."""
    check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones."""
    check(libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` at ``target``."""
    arguments = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    check(libc.mount(*arguments), "mount " + target)


def detach(target: str) -> None:
    """Unmount ``target`` and what is below it, in use or not."""
    check(libc.umount2(target.encode(), MNT_DETACH), "umount2 " + target)


def bind(source: str, target: str) -> None:
    """Bind ``source`` onto ``target``."""
    mount(source, target, flags=MS_BIND | MS_REC)


def make_read_only(target: str) -> None:
    """Let nobody write to what is mounted at ``target``, as seen from this mount namespace."""
    mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def tmpfs(target: str, options: str) -> None:
    """Mount memory at ``target``."""
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)


def enter_user_namespace(inside_uid: int, inside_gid: int) -> None:
    """Become ``inside_uid`` in a new user namespace of which the present user is the only member."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    maps = (
        ("setgroups", "deny"),
        ("uid_map", f"{inside_uid} {uid} 1"),
        ("gid_map", f"{inside_gid} {gid} 1"),
    )
    for name, text in maps:
        with open("/proc/self/" + name, "w", encoding="ascii") as file:
            file.write(text)


# --- The nursery's own root file system -----------------------------------------------------------------------------


def stage(config: Config, control_fd: int) -> NoReturn:
    """Move into a root like AWS's, then start this program again under the interpreter's name there."""
    if config["level"] == "user-namespaces":
        enter_user_namespace(0, 0)
        unshare(CLONE_NEWNS | CLONE_NEWPID)
        be_replaced_by_child(control_fd)
    else:
        unshare(CLONE_NEWNS)
    build_root(config)
    # The folders of another language are in place of this interpreter's; then it runs from the host's.
    prefix = "/var/lang" if config["lang"] == config["prefix"] else "/host" + config["prefix"]
    interpreter = f"{prefix}/bin/" + os.path.basename(config["interpreter"])
    inside = dict(config, staged=True, preload="/var/runtime" if config["preload"] else "", host="/host")
    os.set_inheritable(control_fd, True)
    command = [interpreter, *FLAGS, "/host" + os.path.abspath(__file__), json.dumps(inside), str(control_fd)]
    environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": f"{prefix}/lib", ROOM: os.environ[ROOM]}
    os.execve(interpreter, command, environment)  # noqa: S606


def be_replaced_by_child(control_fd: int) -> None:
    """Go on as the init of the new PID namespace; what was started waits here and hands on how that ended."""
    child = os.fork()
    if child == 0:
        return
    os.close(control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


def build_root(config: Config) -> None:
    """Mount a root that has the host's programs, but none of its homes and data, and move into it.

    The host stays reachable at ``/host`` for the nursery, which binds functions' code from there; environments
    detach it before they run anything.
    """
    root = config["root"]
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    tmpfs(root, "mode=0755,size=1m")
    for name in HOST_FOLDERS:
        host = "/" + name
        if os.path.islink(host):
            os.symlink(os.readlink(host), root + host)
        elif os.path.isdir(host):
            os.mkdir(root + host)
            bind(host, root + host)
    for name in (*OWN_FOLDERS, *("var/" + folder for folder in VAR_FOLDERS)):
        os.mkdir(root + "/" + name)
    make_devices(root + "/dev/")
    tmpfs(root + "/environments", "mode=0700,size=64m")
    write(root + ENTRYPOINT, ENTRYPOINT_TEXT, 0o755)
    for shown, source in config["folders"].items():
        if os.path.isfile(source):
            write(root + shown, "", 0o644)
        else:
            os.makedirs(root + shown, exist_ok=True)
        bind(source, root + shown)
    packages = f"{root}/var/lang/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    if os.path.isdir(packages):
        bind(root + "/mnt", packages)  # what is installed on this machine is none of the functions'
    os.chdir(root)
    check(libc.syscall(PIVOT_ROOT, b".", b"host"), "pivot_root")
    os.chdir("/")
    if config["level"] == "user-namespaces":
        mount("proc", "/proc", "proc")


def make_devices(folder: str) -> None:
    """Show the devices that functions have."""
    for name in DEVICES:
        device = "/dev/" + name
        if os.path.exists(device):
            write(folder + name, "", 0o666)
            bind(device, folder + name)
    for name, target in DEVICE_LINKS.items():
        os.symlink(target, folder + name)


# --- An environment: the keeper -------------------------------------------------------------------------------------


def wait_for_order(channel: socket.socket, config: Config) -> NoReturn:
    """Be forked ahead: wait for the order that says for which function."""
    try:
        os.setsid()
        reset_signals()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nothing else ends an init that handles no signals
        close_descriptors([channel.fileno()])
        message, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, 2)
        channel.close()
        if message:
            log_fd, status_fd = fds
            environment_main(json.loads(message), log_fd, status_fd, config)
    except BaseException as error:  # noqa: BLE001  # whatever it is, a fork must not go on as the nursery
        os.write(2, f"an environment could not be made: {type(error).__name__}: {error}\n".encode())
    os._exit(FAILED_TO_MAKE)


def environment_main(order: Order, log_fd: int, status_fd: int, config: Config) -> NoReturn:
    """Be the keeper of a new environment."""
    try:
        level = config["level"]
        keeper = Keeper(status_fd, level != "process")
        signal.signal(signal.SIGTERM, lambda *_: keeper.leave(None))
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        own_users = bool(config.get("staged")) and enter_places(order, config)
        show_environment(order["environment"])
        os.write(status_fd, b"{}")  # the receiver learns the keeper's process id from the message's credentials
        if level == "namespaces":
            os.fchown(log_fd, order["uid"], order["gid"])  # so that /dev/stdout can be opened
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            ours.close()
            if own_users:
                leave_for_own_users(theirs, order, level)
            elif level == "user-namespaces":
                enter_user_namespace(SANDBOX_UID, SANDBOX_GID)
            function_process(order, log_fd, status_fd, level)
        theirs.close()
        show_environment(order["init_environment"])
        if own_users:
            follow_to_own_users(child, ours, order, level)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        lose_privileges(order, level)
        if own_users:
            ours.send(b"!")  # not before: the function may trace what has its user
        close_descriptors([status_fd])
        keeper.keep(child)
    except BaseException as error:  # noqa: BLE001  # whatever it is, LocalStack must hear of it
        with suppress(OSError):
            os.write(status_fd, json.dumps({"failure": f"{type(error).__name__}: {error}"}).encode())
    os._exit(FAILED_TO_MAKE)


def enter_places(order: Order, config: Config) -> bool:
    """Have AWS's folders; whether the environment can have users of its own, too."""
    unshare(CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    own_users = mount_proc() and bool(config["maps_users"])
    shown = (SANDBOX_UID, SANDBOX_GID) if own_users or not order["uid"] else (order["uid"], order["gid"])
    mount_environment(order, config["host"], config["folders"], shown)
    return own_users


def lose_privileges(order: Order, level: str) -> None:
    """Be nobody in particular, as a keeper that the function may look at."""
    if level == "namespaces":
        become(order["uid"], order["gid"])
    elif level == "user-namespaces":
        set_capabilities(0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # the change has cleared it
    prctl(PR_SET_DUMPABLE, 1)  # or /proc/1 would be root's


def mount_proc() -> bool:
    """Show the processes of this PID namespace alone; refused where /proc is masked."""
    with suppress(OSError):
        mount("proc", "/proc", "proc")
        return True
    return False


def mount_environment(order: Order, host: str, folders: Sequence[str], shown: tuple[int, int]) -> None:
    """Put the function's code, layers and a private /tmp where AWS has them, and forget the host.

    Its user and group are ``shown`` under AWS's name.
    """
    bind(host + order["task_dir"], "/var/task")
    make_read_only("/var/task")
    if order["opt_dir"]:
        bind(host + order["opt_dir"], "/opt")
        make_read_only("/opt")
    bind(tmp_of(order["id"]), "/tmp")  # noqa: S108  # the function's own
    if os.path.exists("/etc/passwd"):
        user = f"{SANDBOX_USER}:x:{shown[0]}:{shown[1]}::/home/{SANDBOX_USER}:/sbin/nologin\n"
        write(users_of(order["id"]), "root:x:0:0:root:/root:/bin/bash\n" + user, 0o644)
        bind(users_of(order["id"]), "/etc/passwd")
    for hidden in (host, "/environments"):
        detach(hidden)
    for place in ("/", *folders, *("/" + name for name in PROGRAM_FOLDERS)):
        with suppress(OSError):  # no mount of its own, or one whose flags the kernel keeps for its owner
            make_read_only(place)


def tmp_of(environment_id: str) -> str:
    """Where the nursery has an environment's /tmp."""
    return "/environments/" + environment_id


def users_of(environment_id: str) -> str:
    """Where the nursery has an environment's /etc/passwd."""
    return f"/environments/{environment_id}.users"


def write(path: str, text: str, mode: int) -> None:
    """Make a small file."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)


def close_descriptors(keep: Sequence[int]) -> None:
    """Close everything but the standard streams and ``keep``."""
    start = 3
    for number in sorted(keep):
        os.closerange(start, number)
        start = number + 1
    os.closerange(start, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], DESCRIPTOR_LIMIT))


def reset_signals() -> None:
    """Handle signals as a fresh interpreter does."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


class Keeper:
    """The init of one environment."""

    def __init__(self, status_fd: int, namespaces: bool) -> None:
        self.status_fd = status_fd
        self.namespaces = namespaces

    def keep(self, child: int) -> NoReturn:
        """Collect whatever ends, until the function's process does; report how, and end."""
        report = None
        while report is None:
            pid, status, usage = os.wait4(-1, 0)
            if pid == child:
                report = {"status": status, "max_rss_kb": usage.ru_maxrss}
        self.leave(report)

    def leave(self, report: dict[str, int] | None) -> NoReturn:
        """Take everything along: in a PID namespace the kernel does, when its init ends."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not self.namespaces:
            kill_descendants()
        if report is not None:
            with suppress(OSError):
                os.write(self.status_fd, json.dumps(report).encode())
        os._exit(0)


def kill_descendants() -> None:
    """Kill everything below this process, however often it forks or changes its session."""
    with suppress(ChildProcessError):
        while True:
            below = descendants(os.getpid())
            parents = {os.getpid(), *below}
            for pid in below:
                with suppress(OSError):
                    if parent_of(pid) in parents:  # else another process has its number by now
                        os.kill(pid, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.001)


def parent_of(pid: int) -> int:
    """The process id of a process's parent."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b") ")[2].split()[1])


def descendants(ancestor: int) -> list[int]:
    """The process ids below ``ancestor``; a keeper is the subreaper of its orphans, so they are among them."""
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        folder = f"/proc/{waiting.pop()}/task"
        with suppress(OSError):
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/children", encoding="ascii") as file:
                    children = [int(text) for text in file.read().split()]
                waiting += children
                found += children
    return found


# --- An environment: the function's process -------------------------------------------------------------------------


def function_process(order: Order, log_fd: int, status_fd: int, level: str) -> NoReturn:
    """Be the function's process, from its descriptors to its end."""
    try:
        os.setsid()
        take_descriptors(log_fd, status_fd if order["argv"] else -1)
        become_unprivileged(order, level)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.chdir(order["cwd"])
        limit_resources(order["limits"])
    except OSError as error:
        os.write(2, f"process_executor: the environment could not be made: {error}\n".encode())
        os._exit(FAILED_TO_MAKE)
    if order["argv"]:
        execute(order, status_fd)
    go_on_in_this_interpreter(order)


def take_descriptors(log_fd: int, status_fd: int) -> None:
    """Standard input is empty, everything else goes to the log; the rest is closed."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number in (1, 2, TELEMETRY_FD):
        os.dup2(log_fd, number)
    close_descriptors([number for number in (TELEMETRY_FD, status_fd) if number >= 0])


def become_unprivileged(order: Order, level: str) -> None:
    """Lose what LocalStack may and functions may not."""
    if level == "user-namespaces":
        set_capabilities(0)
    elif order["uid"]:
        readable = level == "namespaces" or all(map(open_to_all, order["must_read"]))
        if readable or may_read_everything():
            if level == "process":
                os.fchown(TELEMETRY_FD, order["uid"], order["gid"])  # so that /dev/stdout can be opened
            become(order["uid"], order["gid"], 0 if readable else CAP_DAC_READ_SEARCH)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 1)  # or its own /proc/self would be root's


def set_capabilities(bits: int) -> None:
    """Have these capabilities (of the first 32) and no others; programs too, if they are raised to ambient ones."""
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    check(libc.syscall(CAPSET, header, struct.pack("6I", bits, bits, bits, 0, 0, 0)), "capset")


def may_read_everything() -> bool:
    """Whether this process may read files whoever they belong to."""
    with open("/proc/self/status", encoding="ascii") as file:
        [bits] = [int(line.split()[1], 16) for line in file if line.startswith("CapEff:")]
    return bool(bits >> CAP_DAC_READ_SEARCH & 1)


def leave_for_own_users(channel: socket.socket, order: Order, level: str) -> None:
    """Enter a user namespace, in which the function has AWS's user and group, and wait until the keeper is in it, too.

    Root's keeper says who these users are outside.
    """
    if level == "user-namespaces":
        enter_user_namespace(SANDBOX_UID, SANDBOX_GID)
    else:
        unshare(CLONE_NEWUSER)
    channel.send(b"?")
    if not channel.recv(1):
        raise OSError(errno.EPERM, "the users of the environment could not be mapped")
    order |= {"uid": SANDBOX_UID, "gid": SANDBOX_GID}


def follow_to_own_users(child: int, channel: socket.socket, order: Order, level: str) -> None:
    """Enter the child's user namespace, too: else the function could not look at its init."""
    if not channel.recv(1):
        raise OSError(errno.EPERM, "the environment has no users of its own")
    if level == "namespaces":
        map_users(child, order["uid"], order["gid"])
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    check(libc.setns(namespace, CLONE_NEWUSER), "setns")
    os.close(namespace)
    order |= {"uid": SANDBOX_UID, "gid": SANDBOX_GID}


def map_users(pid: int, uid: int, gid: int) -> None:
    """Let this user and group, and root, be AWS's in the user namespace of a process."""
    for name, shown, real in (("uid_map", SANDBOX_UID, uid), ("gid_map", SANDBOX_GID, gid)):
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write(f"0 0 1\n{shown} {real} 1\n")


def may_map_users(level: str) -> bool:
    """Whether the kernel lets this process give others their users; tried with one that ends at once."""
    if level == "user-namespaces":
        return True
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        with suppress(OSError):
            leave_for_own_users(theirs, {}, level)
        os._exit(0)
    theirs.close()
    try:
        if not ours.recv(1):
            return False
        map_users(child, SANDBOX_UID, SANDBOX_GID)
    except OSError:
        return False
    finally:
        ours.close()
        os.waitpid(child, 0)
    return True


def become(uid: int, gid: int, capability: int = 0) -> None:
    """Be this user, in no other group; with one capability, which programs inherit, or with none."""
    prctl(PR_SET_KEEPCAPS, int(bool(capability)))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability:
        set_capabilities(1 << capability)
        ambient = PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0
        check(libc.prctl(*ambient), "prctl PR_CAP_AMBIENT_RAISE")


def show_environment(environment: dict[str, str]) -> None:
    """Let ``/proc/PID/environ`` of this process and its forks have these variables, as far as there is room.

    The nursery's own end here: what they stand in is overwritten, and programs would inherit the rest.
    """
    libc.clearenv()
    with open("/proc/self/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    data = as_in_proc(environment)
    if len(data) > end - start:
        return
    ctypes.memmove(start, data.ljust(end - start, b"\0"), end - start)
    with suppress(OSError):  # without the right to, zeros follow
        check(libc.prctl(PR_SET_MM, PR_SET_MM_ENV_END, ctypes.c_ulong(start + len(data)), 0, 0), "prctl")


def as_in_proc(environment: dict[str, str]) -> bytes:
    """Variables as ``/proc/PID/environ`` tells them, without the one that is the runtime client's alone."""
    shown = {name: value for name, value in environment.items() if name != TELEMETRY_VARIABLE}
    return b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in shown.items())


def open_to_all(path: str) -> bool:
    """Whether any user may read the folder or file ``path``."""
    path = os.path.realpath(path)
    wanted = 0o5 if os.path.isdir(path) else 0o4
    readable = os.stat(path).st_mode & wanted == wanted
    while path != "/":
        path = os.path.dirname(path)
        readable = readable and bool(os.stat(path).st_mode & 0o1)
    return readable


def limit_resources(limits: dict[str, int]) -> None:
    """Set resource limits, as far as this process may."""
    for name, wanted in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        value = min((limit for limit in (wanted, hard) if limit != resource.RLIM_INFINITY), default=hard)
        resource.setrlimit(number, (value, value))


def execute(order: Order, status_fd: int) -> NoReturn:
    """Become another program: a custom runtime's bootstrap, or a wrapper.

    A bootstrap that cannot be executed is the platform's to report; a wrapper fails like any command of a shell.
    """
    os.set_inheritable(TELEMETRY_FD, True)
    os.set_inheritable(status_fd, False)
    try:
        if order["connect"]:
            connect(order["environment"]["AWS_LAMBDA_RUNTIME_API"])
        os.execve(order["argv"][0], order["argv"], order["environment"])  # noqa: S606
    except OSError as error:
        if order["entrypoint"]:
            text = f"{order['entrypoint']}: {os.strerror(error.errno or 0).lower()}"
            os.write(status_fd, json.dumps({"exec_error": text}).encode())
            os._exit(1)
        absent = error.errno == errno.ENOENT and not os.path.exists(order["argv"][0])
        os.write(2, f"{order['argv'][0]}: {'does not exist' if absent else 'is not an executable'}\n".encode())
        os._exit(127 if error.errno == errno.ENOENT else 126)


def connect(address: str) -> None:
    """Have a connection to the Runtime API, for programs that cannot make one and wait for it."""
    host, _, port = address.partition(":")
    with socket.socket() as sock:
        sock.connect((host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        os.dup2(sock.fileno(), CONNECTION_FD)


def go_on_in_this_interpreter(order: Order) -> NoReturn:
    """Run the runtime client as ``python -m awslambdaric`` would, in the interpreter that was forked."""
    code = 1
    try:
        take_streams()
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        sys.path[:] = order["site_dirs"] + order["sys_path"] + stdlib_path
        sys.path_importer_cache.clear()
        prefer_what_functions_bring(order["site_dirs"])
        sys.dont_write_bytecode = True  # the code is not ours to write to; it is compiled when a version is prepared
        sys.argv = ["awslambdaric", order["handler"]]
        sys.orig_argv = [sys.executable, "-m", "awslambdaric", order["handler"]]  # from 3.10 on
        if order["places"]:
            user = SANDBOX_USER, SANDBOX_UID, SANDBOX_GID
            places.move_in(order["places"], order["must_read"], order["shown_limits"], user)
        bootstrap.add_site_dirs(order["site_dirs"])
        if order["debug_port"]:
            listen_for_debugger(order["debug_port"])
        runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = exit_code(end)
    except BaseException as error:  # noqa: BLE001  # a fresh interpreter prints whatever it is
        show_traceback(error)
    finish_interpreter(code)


def prefer_what_functions_bring(folders: Sequence[str]) -> None:
    """Forget what was imported from the runtime's folder where a function or a layer has the same package."""
    brought = {name.partition(".")[0] for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)}
    for name in brought & {name.partition(".")[0] for name in RUNTIME_MODULES}:
        for module in [module for module in sys.modules if (module + ".").startswith(name + ".")]:
            del sys.modules[module]


def take_streams() -> None:
    """Open the standard streams anew: their buffers are this process's own."""
    # SIM115: they are closed by the end of the process.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115


def listen_for_debugger(port: int) -> None:
    """Let debuggers attach; goes on at once."""
    try:
        import debugpy  # type: ignore[import-not-found,unused-ignore]  # noqa: T100
    except ImportError:
        print("No debugger: install debugpy into the runtime's folder (pip install --target ... debugpy).", flush=True)
        return
    debugpy.listen(("127.0.0.1", port), in_process_debug_adapter=True)  # noqa: T100
    print(f"Debugger: attach to 127.0.0.1:{port}", flush=True)


def exit_code(end: SystemExit) -> int:
    """What CPython would exit with for this SystemExit."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def show_traceback(error: BaseException) -> None:
    """Print it as a fresh interpreter would: without this program's frames."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename in {__file__, runpy.__file__, "<frozen runpy>"}:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def finish_interpreter(code: int) -> NoReturn:
    """Run what a normal exit runs (threads, atexit, flushes), then leave without unwinding the nursery's stack."""
    import atexit
    import threading

    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # as the interpreter's own exit does
        atexit._run_exitfuncs()  # noqa: SLF001
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  # as the interpreter's own exit: the code tells
        code = code or 120
    os._exit(code)


# --- The nursery ----------------------------------------------------------------------------------------------------


class Nursery:
    """Serve LocalStack's orders until its end of the control socket closes."""

    def __init__(self, control: socket.socket, config: Config) -> None:
        self.control = control
        self.config = config
        self.staged = bool(config.get("staged"))
        self.keepers: dict[int, str] = {}
        self.pool: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Take orders, and collect what has ended."""
        wake_read, wake_write = os.pipe()
        for number in (wake_read, wake_write):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is LocalStack's to handle
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        self.answer({"ready": True})
        while True:
            wanted = len(self.pool) < self.config["pool_size"]
            ready = [number for number, _ in poll.poll(REFILL_MS if wanted else None)]
            if wake_read in ready:
                os.read(wake_read, 4096)
            self.collect()
            if wanted and not ready:
                with suppress(OSError):  # whoever orders the next environment is told
                    self.fork_ahead()
            if self.control.fileno() in ready and not self.take_order():
                return

    def answer(self, message: dict[str, Any]) -> None:
        """Tell LocalStack how an order went."""
        self.control.send(json.dumps(message).encode())

    def collect(self) -> None:
        """Reap ended keepers and compilations."""
        with suppress(ChildProcessError):
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self.keepers.pop(pid, None)
                if pid in self.pool:
                    self.pool.pop(pid).close()

    def take_order(self) -> bool:
        """Carry out one order; false when LocalStack is gone."""
        message, fds, _, _ = socket.recv_fds(self.control, MESSAGE_LIMIT, 2)
        if not message:
            for pid in (*self.keepers, *self.pool):
                self.end(pid)
            return False
        order = json.loads(message)
        try:
            if order["do"] == "start":
                self.start(order, message, fds)
            elif order["do"] == "stop" and self.keepers.get(order["pid"]) == order["id"]:
                self.end(order["pid"])
            elif order["do"] == "release":
                self.release(order["id"])
            elif order["do"] == "compile":
                self.compile(order["dir"])
        finally:
            for number in fds:
                os.close(number)
        return True

    def start(self, order: Order, message: bytes, fds: Sequence[int]) -> None:
        """Give the order to an environment of the pool, or to a fresh one, and answer with its keeper's process id."""
        try:
            if self.staged:
                self.make_tmp(order)
            if not self.pool:
                self.fork_ahead()
            pid = next(iter(self.pool))  # the one that has waited longest
            with self.pool.pop(pid) as channel:
                socket.send_fds(channel, [message], fds)
        except OSError as error:
            self.answer({"error": str(error)})
            return
        self.keepers[pid] = order["id"]
        self.answer({"pid": pid})

    def fork_ahead(self) -> None:
        """Fork an environment that waits for its order."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)
            pid = self.fork()
            if pid == 0:
                wait_for_order(theirs, self.config)
            self.pool[pid] = ours

    def make_tmp(self, order: Order) -> None:
        """Make an environment's /tmp, unless it has one: it outlives crashes of the function's process."""
        path = tmp_of(order["id"])
        if os.path.isdir(path):
            return
        os.mkdir(path)
        owner = f"mode=0700,uid={order['uid']},gid={order['gid']}" if order["own_tmp"] else "mode=1777"
        tmpfs(path, f"{owner},size={order['tmp_mb']}m")

    def fork(self) -> int:
        """Fork; with namespaces, into a fresh PID namespace, of which the child is the init."""
        if not self.staged:
            return os.fork()
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        try:
            unshare(CLONE_NEWPID)
            pid = os.fork()
            if pid:
                check(libc.setns(own, CLONE_NEWPID), "setns")
            return pid
        finally:
            os.close(own)

    def end(self, keeper: int) -> None:
        """Kill one environment whole: a namespace dies with its init, else the keeper kills what is below it."""
        os.kill(keeper, signal.SIGKILL if self.staged else signal.SIGTERM)

    def release(self, environment_id: str) -> None:
        """The environment will not come back: drop its /tmp."""
        path = tmp_of(environment_id)
        if self.staged and os.path.isdir(path):
            detach(path)
            os.rmdir(path)
            with suppress(FileNotFoundError):
                os.unlink(users_of(environment_id))

    def compile(self, folder: str) -> None:
        """Write bytecode beside a function's sources, in a process of its own, at the lowest priority."""
        if os.fork():
            return
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.nice(19)
            reset_signals()
            sys.path[:] = stdlib_path
            import compileall

            compileall.compile_dir(self.config.get("host", "") + folder, quiet=2, rx=BesideLinks())
        finally:
            os._exit(0)


class BesideLinks:
    """Which files compileall leaves out: those whose bytecode would be written where an archive's link leads."""

    def search(self, path: str) -> bool:
        """Whether this is one."""
        return os.path.islink(f"{os.path.dirname(path)}/__pycache__")


def preload(runtime_dir: str) -> None:
    """Import most of what the runtime client imports."""
    import importlib

    sys.path.insert(0, runtime_dir)
    for name in (*STANDARD_MODULES, *RUNTIME_MODULES):
        with suppress(ImportError):
            importlib.import_module(name)
    sys.path.remove(runtime_dir)


def load_beside(folder: str, name: str) -> Any:
    """Load a module beside this one, under no name that a function could import."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec: Any = spec_from_file_location(name, f"{folder}/{name}.py")
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forget_flags() -> None:
    """Let ``sys.flags`` be as on AWS: what a function starts (``multiprocessing``, ``subprocess``) takes them over."""
    names = re.findall(r"(\w+)=", repr(sys.flags))
    values = id(sys.flags) + tuple.__basicsize__
    for name in SHOWN_BY_FLAGS:
        value = ctypes.c_void_p.from_address(values + names.index(name) * ctypes.sizeof(ctypes.c_void_p))
        if value.value == id(getattr(sys.flags, name)):
            value.value = id(0)


def main() -> None:
    """Serve the orders that come through the control socket of the second argument."""
    global places, bootstrap  # noqa: PLW0603
    config = json.loads(sys.argv[1])
    control_fd = int(sys.argv[2])
    if config["level"] != "process" and not config.get("staged"):
        stage(config, control_fd)
    here = os.path.dirname(os.path.abspath(__file__))
    stdlib_path.extend(path for path in sys.path if "-packages" not in path and path != here)
    import site

    site.setquit()  # -S leaves out the host's site-packages, and these with it
    site.setcopyright()
    site.sethelper()
    forget_flags()
    if not config.get("staged"):
        places = load_beside(here, "places")
        places.install()
    bootstrap = load_beside(here, "bootstrap")
    bootstrap.know_localstack()
    if config["preload"]:
        preload(config["preload"])
    config["maps_users"] = config["level"] != "process" and may_map_users(config["level"])
    gc.collect()
    gc.freeze()  # collections in the forks leave the pages of what is imported here alone
    control = socket.socket(fileno=control_fd)
    os.set_inheritable(control_fd, False)
    Nursery(control, config).serve()


if __name__ == "__main__":
    main()
