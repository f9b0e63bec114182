"""The nursery: one small process per interpreter, from which execution environments are forked.

LocalStack has hundreds of threads and half a gigabyte; forking it is slow and unsafe. This program is neither: it has
one thread, has the runtime client's modules imported, and forks an environment in a few milliseconds. It is run by
path, under any CPython from 3.9 on, and imports nothing but the standard library.

The tree of one environment::

    LocalStack -> nursery -> keeper -> the function's process -> whatever it starts

The keeper is the init of the environment: it collects orphans, reports how the function's process ended, and takes
everything below it along when it goes. Nobody outlives LocalStack: the nursery ends when LocalStack's end of the
control socket closes (``kill -9`` closes it too), and each keeper gets SIGTERM when the nursery dies.

Where the kernel allows, the nursery lives in a root file system of its own (``/var/lang`` is the interpreter's prefix,
``/var/runtime`` the runtime client), and each environment in mount and PID namespaces of its own with ``/var/task``,
``/opt`` and ``/tmp``.
"""

import ctypes
import errno
import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import struct
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
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

MESSAGE_LIMIT = 1 << 20
LOG_FD = 1
# AWS's runtime writes framed log records to this descriptor: record boundaries survive line breaks.
TELEMETRY_FD = 62
# The name of a user that owns nothing; AWS's functions run as sbx_user1051, 993.
SANDBOX_UID = 993
SANDBOX_GID = 990

# No host variables, no user's packages, no site-packages.
FLAGS = ("-E", "-s", "-S")

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    """Raise OSError naming ``what`` when a libc call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))


def prctl(option, value):
    check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl %d" % option)


def unshare(flags):
    check(libc.unshare(flags), "unshare")


def mount(source, target, kind=None, flags=0, data=None):
    encode = lambda text: text.encode() if text is not None else None  # noqa: E731  # three uses, one line
    check(libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)), "mount " + target)


def bind(source, target, read_only=False):
    """Bind ``source`` onto ``target``; flags can only be set in a second step."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount(None, target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def write_text(path, text):
    with open(path, "w") as file:
        file.write(text)


def enter_user_namespace(inside_uid, inside_gid):
    """Become ``inside_uid`` in a new user namespace of which the present user is the only member."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    write_text("/proc/self/setgroups", "deny")
    write_text("/proc/self/uid_map", "%d %d 1" % (inside_uid, uid))
    write_text("/proc/self/gid_map", "%d %d 1" % (inside_gid, gid))


# --- The nursery's own root file system -----------------------------------------------------------------------------


def build_root(root, prefix, runtime_dir):
    """Mount a root at ``root`` that looks like AWS's: the host's programs, none of its homes and data.

    The host stays reachable at ``/host`` for the nursery, which binds functions' code from there; environments
    detach it before they run anything.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for name in ("dev", "proc", "sys", "etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        host = "/" + name
        if os.path.islink(host):
            os.symlink(os.readlink(host), root + host)
        elif os.path.isdir(host):
            os.mkdir(root + host)
            bind(host, root + host)
    for name in ("boot", "home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "var", "var/task", "var/runtime", "var/lang", "var/tmp", "host", "environments"):
        os.mkdir(os.path.join(root, name))
    mount("tmpfs", root + "/environments", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=1m")
    bind(prefix, root + "/var/lang")
    if runtime_dir:
        bind(runtime_dir, root + "/var/runtime")
    os.chdir(root)
    check(libc.syscall(PIVOT_ROOT, b".", b"host"), "pivot_root")
    os.chdir("/")


PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, -1)


def stage(config, control_fd):
    """Move into the new root, then start this program again under the interpreter's name there."""
    if config["level"] == "user-namespaces":
        enter_user_namespace(0, 0)
        unshare(CLONE_NEWNS | CLONE_NEWPID)
        be_replaced_by_child(control_fd)
    else:
        unshare(CLONE_NEWNS)
    build_root(config["root"], config["prefix"], config["runtime_dir"])
    if config["level"] == "user-namespaces":
        mount("proc", "/proc", "proc")
    interpreter = "/var/lang/bin/" + os.path.basename(config["interpreter"])
    inside = dict(config, staged=True, runtime_dir="/var/runtime" if config["runtime_dir"] else "", host="/host")
    os.set_inheritable(control_fd, True)
    program = "/host" + os.path.abspath(__file__)
    environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/var/lang/lib"}  # for a shared libpython
    os.execve(interpreter, [interpreter, *FLAGS, program, json.dumps(inside), str(control_fd)], environment)


def be_replaced_by_child(control_fd):
    """Go on as the init of the new PID namespace; what was started waits here and hands on how that ended."""
    child = os.fork()
    if child == 0:
        return
    os.close(control_fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    os._exit(status >> 8 if os.WIFEXITED(status) else 1)


# --- An environment ------------------------------------------------------------------------------------------------


def limit_resources(limits):
    for name, value in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(number, (value, value))


def drop_capabilities():
    header = struct.pack("Ii", 0x20080522, 0)
    check(libc.syscall(CAPSET, header, b"\0" * 24), "capset")


CAPSET = {"x86_64": 126, "aarch64": 91}.get(os.uname().machine, -1)


def open_to_all(path):
    """Whether any user may read the folder ``path``."""
    path = os.path.realpath(path)
    readable = os.stat(path).st_mode & 0o5 == 0o5
    while path != "/":
        path = os.path.dirname(path)
        readable = readable and os.stat(path).st_mode & 0o1
    return bool(readable)


def become_unprivileged(order, level):
    if level == "user-namespaces":
        enter_user_namespace(SANDBOX_UID, SANDBOX_GID)
        drop_capabilities()
    elif order["uid"] and (level != "process" or all(map(open_to_all, [os.__file__, order["task_dir"], order["sys_path"][-1]]))):
        os.setgroups([])
        os.setgid(order["gid"])
        os.setuid(order["uid"])
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def mount_environment(order, host):
    """Put the function's code, layers and a private /tmp where AWS has them, and forget the host."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    try:
        mount("proc", "/proc", "proc")
    except OSError:
        pass  # a masked /proc (nested containers) refuses; the host's then stays visible, PIDs and all
    bind(host + order["task_dir"], "/var/task", read_only=True)
    if order.get("opt_dir"):
        bind(host + order["opt_dir"], "/opt", read_only=True)
    bind(tmp_of(order["id"]), "/tmp")
    for hidden in (host, "/environments"):
        check(libc.umount2(hidden.encode(), MNT_DETACH), "umount2 " + hidden)


def tmp_of(environment_id):
    return "/environments/" + environment_id


def make_tmp(order, owner):
    """Make an environment's /tmp, unless it has one: it outlives crashes of the function's process."""
    path = tmp_of(order["id"])
    if not os.path.isdir(path):
        os.mkdir(path)
        size = "mode=0700,size=%dm,uid=%d,gid=%d" % (order["tmp_mb"], *owner)
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, size)


def close_descriptors(keep):
    """Close everything but the standard streams and ``keep``."""
    last = 3
    for number in sorted(keep):
        os.closerange(last, number)
        last = number + 1
    os.closerange(last, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16))


def reset_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as CPython sets them for a fresh interpreter
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def run_program(order):
    """Be the function's process: never returns."""
    reset_signals()
    environment = order["environment"]
    os.chdir(order["cwd"])
    limit_resources(order["limits"])
    if order["argv"]:
        os.set_inheritable(TELEMETRY_FD, True)
        os.execve(order["argv"][0], order["argv"], environment)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[:] = order["sys_path"] + STDLIB_PATH
    sys.path_importer_cache.clear()
    sys.dont_write_bytecode = True  # the code is not ours to write to; it is compiled when a version is prepared
    sys.argv = ["awslambdaric", order["handler"]]
    sys.orig_argv = [sys.executable, "-m", "awslambdaric", order["handler"]]
    if order["debug_port"]:
        listen_for_debugger(order["debug_port"])
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


def listen_for_debugger(port):
    try:
        import debugpy
    except ImportError:
        print("No debugger: install debugpy into the runtime's folder (pip install --target ... debugpy).", flush=True)
        return
    debugpy.listen(("127.0.0.1", port), in_process_debug_adapter=True)
    print("Debugger: attach to 127.0.0.1:%d" % port, flush=True)


def function_process(order, log_fd, status_fd, level):
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        os.dup2(log_fd, TELEMETRY_FD)
        close_descriptors([TELEMETRY_FD] + ([status_fd] if order["argv"] else []))
        become_unprivileged(order, level)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # the interpreter's own streams
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    except OSError as error:
        os.write(2, ("process_executor: the environment could not be made: %s\n" % error).encode())
        os._exit(71)
    code = 1
    try:
        run_program(order)
        code = 0
    except SystemExit as end:
        code = exit_code(end)
    except OSError as error:
        if order["argv"] and error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
            os._exit(report_exec_failure(order, error, status_fd))
        show_traceback(error)
    except BaseException as error:
        show_traceback(error)
    finish_interpreter(code)


def show_traceback(error):
    """Print it as a fresh interpreter would: without this program's frames."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error, trace)


def report_exec_failure(order, error, status_fd):
    """A custom runtime's bootstrap is the platform's to report; a wrapper fails like any command of a shell."""
    if order["entrypoint"]:
        text = "%s: %s" % (order["entrypoint"], os.strerror(error.errno).lower())
        os.write(status_fd, json.dumps({"exec_error": text}).encode())
        return 1
    os.write(2, ("%s: %s\n" % (order["argv"][0], os.strerror(error.errno))).encode())
    return 126 if error.errno != errno.ENOENT else 127


def exit_code(end):
    """What CPython would exit with for this SystemExit."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def finish_interpreter(code):
    """Run what a normal exit runs (threads, atexit, flushes), then leave without unwinding the nursery's stack."""
    import atexit
    import threading

    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        code = code or 120
    os._exit(code)


class Keeper:
    """The init of one environment."""

    def __init__(self, status_fd, namespaces):
        self.status_fd = status_fd
        self.namespaces = namespaces

    def run(self, child):
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        status = None
        while True:
            try:
                pid, ended, usage = os.wait4(-1, 0)
            except ChildProcessError:
                break
            if pid == child:
                status = {"status": ended, "max_rss_kb": usage.ru_maxrss}
                break
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.kill_descendants()
        if status:
            os.write(self.status_fd, json.dumps(status).encode())
        os._exit(0)

    def stop(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.kill_descendants()
        os._exit(0)

    def kill_descendants(self):
        """Kill everything below, however often it forks or changes its session."""
        if self.namespaces:
            return  # the kernel does, when the init of a PID namespace exits
        while True:
            pids = descendants(os.getpid())
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
                time.sleep(0.001)
            except ChildProcessError:
                return


def descendants(pid):
    """The process ids below ``pid``, orphans included (a keeper is their subreaper), zombies left out."""
    found = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            tasks = os.listdir("/proc/%d/task" % parent)
        except OSError:
            continue
        for task in tasks:
            try:
                with open("/proc/%d/task/%s/children" % (parent, task)) as file:
                    children = [int(text) for text in file.read().split()]
            except OSError:
                continue
            waiting += children
            found += children
    return found


def environment_main(order, log_fd, status_fd, config):
    """Be the keeper: never returns."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        namespaces = bool(config.get("staged"))
        if namespaces:
            mount_environment(order, config["host"])
        os.write(status_fd, b"{}")  # the receiver learns the keeper's process id from the message's credentials
        child = os.fork()
        if child == 0:
            function_process(order, log_fd, status_fd, config["level"])
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        close_descriptors([status_fd])
        Keeper(status_fd, namespaces).run(child)
    except BaseException as error:
        try:
            os.write(status_fd, json.dumps({"failure": "%s: %s" % (type(error).__name__, error)}).encode())
        finally:
            os._exit(71)


# --- The nursery ---------------------------------------------------------------------------------------------------


class Nursery:
    """Serve LocalStack's orders until its end of the control socket closes."""

    def __init__(self, control, config):
        self.control = control
        self.config = config
        self.keepers = {}

    def serve(self):
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is LocalStack's to handle
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        self.answer({"ready": True, "level": self.config["level"]})
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if wake_read in ready:
                os.read(wake_read, 4096)
            self.collect()
            if self.control.fileno() in ready and not self.take_order():
                return

    def answer(self, message):
        self.control.send(json.dumps(message).encode())

    def collect(self):
        """Reap ended keepers and compilations."""
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self.keepers.pop(pid, None)
        except ChildProcessError:
            return

    def take_order(self):
        message, fds, _, _ = socket.recv_fds(self.control, MESSAGE_LIMIT, 2)
        if not message:
            self.kill_all()
            return False
        order = json.loads(message)
        try:
            getattr(self, "do_" + order["do"])(order, fds)
        except Exception as error:  # noqa: BLE001  # LocalStack turns it into a sentence for the caller
            self.answer({"error": "%s: %s" % (type(error).__name__, error)})
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def do_start(self, order, fds):
        log_fd, status_fd = fds
        if self.config.get("staged"):
            make_tmp(order, (0, 0) if self.config["level"] == "user-namespaces" else (order["uid"], order["gid"]))
        pid = self.fork_keeper()
        if pid == 0:
            environment_main(order, log_fd, status_fd, self.config)
        self.keepers[pid] = order["id"]
        self.answer({"pid": pid})

    def fork_keeper(self):
        """Fork; in the namespace levels into a fresh PID namespace, of which the child is the init."""
        if not self.config.get("staged"):
            return os.fork()
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        try:
            unshare(CLONE_NEWPID)
            pid = os.fork()
            if pid == 0:
                unshare(CLONE_NEWNS)
                return 0
            check(libc.setns(own, CLONE_NEWPID), "setns")
            return pid
        finally:
            os.close(own)

    def do_stop(self, order, fds):
        """Kill one environment whole; unknown ids are already gone."""
        del fds
        pid = order["pid"]
        if pid in self.keepers:
            os.kill(pid, signal.SIGKILL if self.config.get("staged") else signal.SIGTERM)

    def do_release(self, order, fds):
        """The environment will not come back: drop its /tmp."""
        del fds
        path = tmp_of(order["id"])
        if self.config.get("staged") and os.path.isdir(path):
            libc.umount2(path.encode(), MNT_DETACH)
            os.rmdir(path)

    def do_compile(self, order, fds):
        """Write bytecode beside a function's sources, in a process of its own, at the lowest priority."""
        del fds
        pid = os.fork()
        if pid:
            return
        try:
            os.nice(10)
            reset_signals()
            sys.path[:] = STDLIB_PATH
            import compileall

            compileall.compile_dir(self.config.get("host", "") + order["dir"], quiet=2)
        finally:
            os._exit(0)

    def kill_all(self):
        for pid in self.keepers:
            os.kill(pid, signal.SIGKILL if self.config.get("staged") else signal.SIGTERM)


STDLIB_PATH = []


def preload(runtime_dir):
    """Import what the runtime client imports, but not the client: both its parts read their environment when loaded."""
    sys.path.insert(0, runtime_dir)
    import decimal  # noqa: F401
    import http.client  # noqa: F401
    import importlib.util
    import logging  # noqa: F401
    import threading  # noqa: F401
    import traceback  # noqa: F401

    for name in ("simplejson", "snapshot_restore_py"):
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    sys.path.remove(runtime_dir)


def main():
    config = json.loads(sys.argv[1])
    control_fd = int(sys.argv[2])
    if config["level"] != "process" and not config.get("staged"):
        stage(config, control_fd)
    here = os.path.dirname(os.path.abspath(__file__))
    STDLIB_PATH.extend(path for path in sys.path if "-packages" not in path and path != here)
    import site

    site.setquit()  # -S leaves out the host's site-packages, and these with it
    site.setcopyright()
    site.sethelper()
    if config["runtime_dir"]:
        preload(config["runtime_dir"])
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=control_fd)
    os.set_inheritable(control_fd, False)
    Nursery(control, config).serve()


if __name__ == "__main__":
    main()
