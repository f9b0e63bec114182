"""AWS's folders for Python code where the kernel gives no mount namespace.

A function that names ``/var/task``, ``/opt`` or ``/tmp`` itself means its own, but without a mount namespace these are
the machine's. Python asks for files through ``open`` and the functions of ``os``: here they take AWS's paths, and
refuse to write anywhere but to ``/tmp``, as AWS's read-only file system does, and more than fits there. What a module
knows about its own place (``__file__``, ``sys.path``, the working directory) stays the real path, because C libraries
are handed it too.

Not reached are paths that C code opens by itself, and those inside the programs that a function starts: such a program
gets real paths in its arguments and variables; a Python also gets this (``started``). What C code leaves in the
machine's ``/tmp`` is found there, and what it writes to the function's counts when Python code writes next.

The nursery installs this before it imports anything that a function will use. Like the nursery it runs under any
CPython from 3.9 on and imports nothing but the standard library.
"""

# The functions of os are what is replaced here, so nothing else can be used.
# ruff: noqa: PTH100, PTH118, PTH119, PTH120, PLC0415

from __future__ import annotations

import builtins
import errno
import fcntl
import functools
import io
import os
import re
import resource
import stat
import sys
import time
from _weakref import ref  # the module weakref takes longer to import
from contextlib import suppress

TYPE_CHECKING = False  # the module typing takes as long to import as half of this one
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Function = Callable[..., Any]

READING = ("access", "chdir", "getxattr", "listdir", "listxattr", "pathconf", "readlink")
TELLING = ("lstat", "stat")
OWNING = ("chown", "lchown", "fchown")
USER, SET_USER = ("getuid", "geteuid", "getresuid"), ("setuid", "seteuid", "setreuid", "setresuid")
GROUP, SET_GROUP = ("getgid", "getegid", "getresgid", "getgroups"), ("setgid", "setegid", "setregid", "setresgid")
# Where the group stands behind a program's variables; the user is the second behind it.
GROUP_OF_PROGRAM = 10 if sys.version_info < (3, 11) else 11
STARTING = ("execv", "execve", "posix_spawn", "posix_spawnp")
CREATING = ("mkdir", "mkfifo", "mknod")
CHANGING = ("chmod", "chown", "lchown", "removexattr", "setxattr", "truncate", "utime")
REMOVING = ("remove", "rmdir", "unlink")
MOVING = ("rename", "replace")
LINKING = ("link", "symlink")
WRITING = ("write", "pwrite")
FILLING = ("writev", "pwritev", "posix_fallocate", "ftruncate", "truncate")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
TMP = "/tmp"  # noqa: S108  # the function's own
DEVICES = ("/dev", "/proc")
SOCKET_NAME_BYTES = 108  # with the zero behind it
PAGE_BYTES = 4096  # what every file of /tmp takes a multiple of
UNCHECKED_BYTES = 16 << 20  # may be written to it before it is counted anew how much is taken
# Folders that the variables of programs are translated for; /var/lang may be the machine's /usr.
TOLD_PROGRAMS = (TMP, "/var/task", "/opt")
# The folder beside the private /tmp with what a Python that is started runs first, and the variable that names it.
STARTED, MODULES = "python", "PYTHONPATH"
# What a Python is called, and the options by which it learns of nothing.
PYTHON, ALONE = re.compile(r"python(?:3(?:\.(?:[7-9]|\d\d))?)?"), re.compile(r"-[A-Za-z]*[IES][A-Za-z]*")
# One of AWS's folders in a text, and what follows it to the end of a word.
NAMED = re.compile(r"(?<![\w./~-])/(?:var/task|var/runtime|var/lang|opt|tmp)(?:/[^\s'\":;,|&<>()]*|(?![\w./-]))")

# AWS's folders and the real ones; empty until a function moves in.
folders: dict[str, str] = {}
# Resource limits as AWS has them, by the module's numbers, unless the function sets its own.
limits: dict[int, tuple[int, int]] = {}
# Real folders, also when they lie below one of AWS's names: the machine's temporary folder often is /tmp.
known: list[str] = []
moved_in_at = 0.0
user = ""
# This process's user and group, and the numbers that these have on AWS.
users: dict[int, int] = {}
groups: dict[int, int] = {}
# The function's /tmp with no links in its path, its size, and what may be written to it before it is counted anew.
tmp = ""
tmp_bytes = 0
unchecked = sys.maxsize
real_stat = os.stat
real_listdir = os.listdir
real_scandir = os.scandir
real_readlink = os.readlink
real_getuid, real_getgid = os.getuid, os.getgid


def move_in(
    places: dict[str, str], others: list[str], shown_limits: dict[str, int], shown_user: tuple[str, int, int]
) -> None:
    """Begin to translate.

    Args:
        places: the real folder for each of AWS's.
        others: real folders in use.
        shown_limits: by name in the module ``resource``.
        shown_user: what this process's user is called, its number and that of its group.

    The limit of each file's size is the size of ``/tmp``.
    """
    global moved_in_at, user, tmp, tmp_bytes, unchecked  # noqa: PLW0603
    user, uid, gid = shown_user
    # Root's files are root's on AWS, too.
    users.update({real_getuid(): uid} if real_getuid() else {})
    groups.update({real_getgid(): gid} if real_getgid() else {})
    tmp = os.path.realpath(places[TMP])
    tmp_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    unchecked = 0
    moved_in_at = time.time()
    known[:] = [*places.values(), *others, os.path.dirname(places[TMP])]
    folders.update(places)
    folders["/proc/1"] = f"/proc/{os.getpid()}"  # but for its variables, if these are not the function's
    limits.update({getattr(resource, name): (value, value) for name, value in shown_limits.items()})
    # For programs; this one goes on to see its variables as they are.
    for name, value in {"TMPDIR": TMP, MODULES: "", **os.environ}.items():
        os.putenv(name, value)


def settle(found: dict[str, Any], *, at_once: bool = True) -> None:
    """Install and move in, in an interpreter that was executed.

    Args:
        found: what ``move_in`` is told, and the variables that programs have with real folders: theirs and the
            function's, None for none.
        at_once: as for ``install``.
    """
    for name, (theirs, own) in found["variables"].items():
        if os.environ.get(name) == theirs:
            os.environ.pop(name)
            os.environ.update({} if own is None else {name: own})
    outer = os.path.dirname(found["places"][TMP])
    first, _, others = os.environ.get(MODULES, "").partition(":")
    if first == f"{outer}/{STARTED}":
        os.environ.pop(MODULES)
        os.environ.update({MODULES: others} if others else {})
    install(at_once=at_once)
    move_in(found["places"], found["others"], found["limits"], (found["user"], *found["ids"]))


def real(path: Any) -> Any:
    """The real path for one of AWS's; anything else, descriptors included, as it is."""
    if not folders or isinstance(path, int):
        return path
    try:
        given = os.fspath(path)
        text = os.fsdecode(given)
    except TypeError:
        return path  # not a path: the function it goes to says so
    if text.startswith("/") and not any(is_below(text, folder) for folder in known):
        for shown, folder in folders.items():
            if is_below(text, shown):
                found = folder + text[len(shown) :]
                if shown == TMP and not is_there(found) and is_own(text):
                    return path
                return os.fsencode(found) if isinstance(given, bytes) else found
    return path


def real_within(argument: Any) -> Any:
    """An argument of a program with the real paths for AWS's in it, as in a shell's command."""
    if not folders:
        return argument
    text = os.fsdecode(argument)
    found = NAMED.sub(lambda match: real(match[0]), text)
    return argument if found == text else found


def real_arguments(arguments: Any) -> list[Any]:
    """A program's name and arguments; the code that a Python is given knows AWS's folders by itself."""
    words = [os.fsdecode(word) for word in arguments]
    knows = words and PYTHON.fullmatch(os.path.basename(words[0])) and not any(map(ALONE.fullmatch, words))
    return [real(word) if knows else real_within(word) for word in arguments]


def real_value(value: Any) -> Any:
    """A program's variable with the real folders for AWS's, also in a list of them."""
    if not folders:
        return value
    parts = os.fsdecode(value).split(":")
    text = ":".join(real(part) if any(is_below(part, each) for each in TOLD_PROGRAMS) else part for part in parts)
    return os.fsencode(text) if isinstance(value, bytes) else text


def for_programs(variables: dict[Any, Any]) -> dict[bytes, bytes]:
    """The variables of a program: real folders, AWS's temporary one, and what tells a Python about them."""
    given = {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
    if not folders:
        return given
    found = {b"TMPDIR": os.fsencode(TMP), os.fsencode(MODULES): b"", **given}
    return {name: for_program(name, value) for name, value in found.items()}


def for_program(name: Any, value: Any) -> Any:
    """The value of a variable as programs have it."""
    told = real_value(value)
    if not folders or os.fsdecode(name) != MODULES:
        return told
    text = ":".join(filter(None, (f"{os.path.dirname(folders[TMP])}/{STARTED}", os.fsdecode(told))))
    return os.fsencode(text) if isinstance(value, bytes) else text


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or in it."""
    return path == folder or path.startswith(folder + "/")


def absolute(path: Any, dir_fd: int | None = None) -> str | None:
    """A real path from the root on; None for what is no path."""
    if isinstance(path, int):
        return None
    try:
        text = os.fsdecode(path)
        return os.path.abspath(text if dir_fd is None else os.path.join(real_readlink(f"/proc/self/fd/{dir_fd}"), text))
    except (TypeError, OSError):
        return None


def is_writable(text: str) -> bool:
    """Whether AWS lets a function write there; the machine's ``/tmp`` is for what C code has left in it."""
    if any(is_below(text, folder) for folder in (folders[TMP], *DEVICES)):
        return True
    return is_below(text, TMP) and not any(is_below(text, folder) for folder in known)


def is_there(path: Any) -> bool:
    """Whether something is at this real path."""
    try:
        real_stat(path)
    except (OSError, TypeError, ValueError):
        return False
    return True


def is_own(text: str) -> bool:
    """Whether C code of this function has made something there: its user has, since it moved in."""
    try:
        status = real_stat(text)
    except OSError:
        return False
    return status.st_uid == real_getuid() and status.st_ctime >= moved_in_at


def refuse_to_write(path: Any, given: Any, dir_fd: int | None = None, *, new: bool) -> None:
    """Raise EROFS for a real path outside ``/tmp``.

    Args:
        path: where something is to be written.
        given: the same, in the function's words.
        dir_fd: what it is relative to.
        new: whether only its folder must be there. What the kernel misses before it looks whether a file system is
            read-only is left to it.
    """
    text = absolute(path, dir_fd) if folders else None
    if text is not None and not is_writable(text) and is_there(os.path.dirname(text) if new else text):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), given)


# --- The size of /tmp -----------------------------------------------------------------------------------------------


def is_in_tmp(file: Any) -> bool:
    """Whether a path or a descriptor is of the function's own ``/tmp``."""
    try:
        if isinstance(file, int):
            return is_below(real_readlink(f"/proc/self/fd/{file}"), tmp)
        return is_below(os.path.realpath(os.fsdecode(real(file))), tmp)
    except (OSError, TypeError, ValueError):
        return False


def taken(status: os.stat_result) -> int:
    """How many bytes of ``/tmp`` a file takes: whole pages, and none for its holes."""
    if not stat.S_ISREG(status.st_mode):
        return 0
    return min(status.st_blocks * 512, -(-status.st_size // PAGE_BYTES) * PAGE_BYTES)


def all_taken() -> int:
    """How many bytes of ``/tmp`` are taken by the files in it, and by those that are removed and still open."""
    found = {}
    for name in real_listdir("/proc/self/fd"):
        if is_in_tmp(int(name)):
            with suppress(OSError):
                status = real_stat(int(name))
                found[status.st_ino] = taken(status)
    folders_left = [tmp]
    while folders_left:
        with suppress(OSError), real_scandir(folders_left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders_left.append(entry.path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[status.st_ino] = taken(status)
    return sum(found.values())


def that_fit(descriptor: int, wanted: int, position: int | None = None) -> int:
    """How many bytes may be written to an open file.

    Args:
        descriptor: the file's.
        wanted: how many are to be written.
        position: where in the file; None for where it stands.

    Raises:
        OSError: ENOSPC, none.
    """
    global unchecked  # noqa: PLW0603
    if wanted > max(unchecked, 0) and is_in_tmp(descriptor):
        status = real_stat(descriptor)
        if stat.S_ISREG(status.st_mode):
            appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
            here = os.lseek(descriptor, 0, os.SEEK_CUR) if position is None else position
            start = status.st_size if appends else here
            left = max(tmp_bytes - all_taken(), 0)
            fit = left + max(taken(status) - start, 0)  # what is overwritten takes nothing more
            if not fit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            unchecked = min(left, UNCHECKED_BYTES)
            wanted = min(wanted, fit)
    unchecked -= wanted
    return wanted


def part_that_fits(descriptor: int, data: Any, position: int | None = None) -> Any:
    """As much of what is to be written to an open file as fits; what is no data as it is."""
    try:
        wanted = memoryview(data).nbytes
    except TypeError:
        return data
    fit = that_fit(descriptor, wanted, position)
    return data if fit == wanted else memoryview(data).cast("B")[:fit]


def behind(descriptor: int, position: int | None) -> int:
    """How many bytes an open file has behind a position; None for where it stands."""
    start = os.lseek(descriptor, 0, os.SEEK_CUR) if position is None else position
    return max(real_stat(descriptor).st_size - start, 0)


def reword(error: OSError, file: Any) -> None:
    """Say that there is no space left: the limit of each file's size stands in for the end of ``/tmp``."""
    if error.errno == errno.EFBIG and resource.RLIMIT_FSIZE in limits and is_in_tmp(file):
        error.errno, error.strerror = error.args = errno.ENOSPC, os.strerror(errno.ENOSPC)


def write_raw(file: ref[Any], data: Any, /) -> Any:
    """The method ``write`` of a raw file of ``/tmp``."""
    raw: Any = file()
    descriptor = raw.fileno()
    try:
        return io.FileIO.write(raw, part_that_fits(descriptor, data))
    except OSError as error:
        reword(error, descriptor)
        raise


def truncate_raw(file: ref[Any], size: Any = None, /) -> Any:
    """Its method ``truncate``."""
    raw: Any = file()
    try:
        return io.FileIO.truncate(raw, size)
    except OSError as error:
        reword(error, raw.fileno())
        raise


def limit_size(file: Any, path: Any) -> None:
    """Have an open file grow no further than fits, if it is in ``/tmp``.

    It asks its raw file to write. One without a buffer is raw itself, and would not live as long as its method.

    Args:
        file: what was opened.
        path: the real path that it was opened by, or a descriptor.
    """
    global unchecked  # noqa: PLW0603
    raw = getattr(getattr(file, "buffer", file), "raw", None)
    named = isinstance(path, str) and path.startswith("/")
    if raw is not None and (is_below(path, folders[TMP]) if named else is_in_tmp(raw.fileno())):
        own = ref(raw)  # a file that refers to itself is not closed when nothing else does
        raw.write, raw.truncate = functools.partial(write_raw, own), functools.partial(truncate_raw, own)
        unchecked -= PAGE_BYTES


# --- The functions --------------------------------------------------------------------------------------------------


def carry_out(function: Function, path: Any, given: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call it with the real path; an error names the one that was given."""
    try:
        return function(path, *args, **kwargs)
    except OSError as error:
        if path is not given and error.filename == path:
            error.filename = given
        raise


def reading(function: Function, keyword: str = "path") -> Function:
    """A function that leaves files as they are."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not args and keyword not in kwargs:
            return function(**kwargs)
        given = args[0] if args else kwargs.pop(keyword)
        return carry_out(function, real(given), given, args[1:], kwargs)

    return call


def telling(function: Function, keyword: str = "path") -> Function:
    """One that tells a file's status: its own user and group have AWS's numbers."""
    tell = reading(function, keyword)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return as_shown(tell(*args, **kwargs))

    return call


def as_shown(status: Any) -> Any:
    """A file's status with AWS's user and group in place of this process's, whatever programs tell."""
    uid, gid = users.get(status.st_uid), groups.get(status.st_gid)
    if uid is None and gid is None:
        return status
    kind, (fields, named) = status.__reduce__()
    shown = status.st_uid if uid is None else uid, status.st_gid if gid is None else gid
    return kind((*fields[:4], *shown, *fields[6:]), named)


def owning(function: Function) -> Function:
    """One that gives a file to a user and a group."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = [real_id((users, groups)[place], number) for place, number in enumerate(args[1:3])]
        named = {name: real_id({"uid": users, "gid": groups}.get(name, {}), each) for name, each in kwargs.items()}
        return function(*args[:1], *given, *args[3:], **named)

    return call


def identifying(function: Function, shown: dict[int, int]) -> Function:
    """One that says who this process is."""

    @functools.wraps(function)
    def call() -> Any:
        found = function()
        if isinstance(found, int):
            return shown.get(found, found)
        return type(found)(shown.get(each, each) for each in found)

    return call


def assuming(function: Function, shown: dict[int, int]) -> Function:
    """One that changes who it is."""

    @functools.wraps(function)
    def call(*numbers: int) -> Any:
        return function(*(real_id(shown, each) for each in numbers))

    return call


def real_id(shown: dict[int, int], number: Any) -> Any:
    """The user or group of this process for AWS's number, and others as they are."""
    return next((own for own, each in shown.items() if each == number), number)


def changing(function: Function, *, new: bool = False) -> Function:
    """A function that changes what is there."""

    @functools.wraps(function)
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        place = real(path)
        refuse_to_write(place, path, kwargs.get("dir_fd"), new=new)
        return carry_out(function, place, path, args, kwargs)

    return call


def removing(function: Function) -> Function:
    """A function that removes: whether a folder may be written to is looked at before what is in it."""
    return changing(function, new=True)


def creating(function: Function) -> Function:
    """A function that makes what is not there."""

    @functools.wraps(function)
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        place = real(path)
        if not is_there(place):
            refuse_to_write(place, path, kwargs.get("dir_fd"), new=True)
        return carry_out(function, place, path, args, kwargs)

    return call


def moving(function: Function) -> Function:
    """A function that renames, within ``/tmp``: that is a file system of its own."""

    @functools.wraps(function)
    def call(src: Any, dst: Any, **kwargs: Any) -> Any:
        source, target = real(src), real(dst)
        if folders:
            places = [absolute(source, kwargs.get("src_dir_fd")), absolute(target, kwargs.get("dst_dir_fd"))]
            if all(place and is_there(os.path.dirname(place)) for place in places):
                inside = [is_writable(place) for place in places if place]
                if not all(inside):
                    code = errno.EXDEV if any(inside) else errno.EROFS
                    raise OSError(code, os.strerror(code), src, None, dst)
        return function(source, target, **kwargs)

    return call


def linking(function: Function) -> Function:
    """A function that gives a file a second name."""

    @functools.wraps(function)
    def call(src: Any, dst: Any, *args: Any, **kwargs: Any) -> Any:
        target = real(dst)
        if not is_there(target):
            refuse_to_write(target, src, kwargs.get("dst_dir_fd", kwargs.get("dir_fd")), new=True)
        return function(real(src), target, *args, **kwargs)

    return call


def opening_descriptor(function: Function) -> Function:
    """``os.open``."""

    @functools.wraps(function)
    def call(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> Any:
        place = real(path)
        if flags & WRITE_FLAGS and not (flags & os.O_EXCL and is_there(place)):
            refuse_to_write(place, path, dir_fd, new=bool(flags & os.O_CREAT))
        return carry_out(function, place, path, (flags, mode), {"dir_fd": dir_fd})

    return call


def opening(function: Function) -> Function:
    """The builtin ``open``."""

    @functools.wraps(function)
    def call(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        place = real(file)
        writes = isinstance(mode, str) and set("wax+") & set(mode)
        if writes and not ("x" in mode and is_there(place)):
            refuse_to_write(place, file, new=bool(set("wax") & set(mode)))
        found = carry_out(function, place, file, (mode, *args), kwargs)
        if writes and folders:
            limit_size(found, place)
        return found

    return call


def writing(function: Function) -> Function:
    """``os.write``: as much as fits, as the kernel does."""

    @functools.wraps(function)
    def call(descriptor: int, data: Any, *position: Any) -> Any:
        try:
            return function(descriptor, part_that_fits(descriptor, data, *position), *position)
        except OSError as error:
            reword(error, descriptor)
            raise

    return call


def filling(function: Function) -> Function:
    """A function that lets a file grow: by how much is counted before something is written next."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        global unchecked  # noqa: PLW0603
        unchecked = min(unchecked, 0) if folders else unchecked
        try:
            return function(*args, **kwargs)
        except OSError as error:
            reword(error, args[0] if args else kwargs["path"])
            raise

    return call


def sending(function: Function) -> Function:
    """``os.sendfile``, with which ``shutil`` copies."""

    @functools.wraps(function)
    def call(out_fd: int, in_fd: int, offset: int | None, count: int) -> Any:
        wanted = min(count, behind(in_fd, offset))
        fit = that_fit(out_fd, wanted)
        try:
            return function(out_fd, in_fd, offset, count if fit == wanted else fit)
        except OSError as error:
            reword(error, out_fd)
            raise

    return call


def copying(function: Function) -> Function:
    """``os.copy_file_range``, with which ``pathlib`` does."""

    @functools.wraps(function)
    def call(src: int, dst: int, count: int, offset_src: int | None = None, offset_dst: int | None = None) -> Any:
        wanted = min(count, behind(src, offset_src))
        fit = that_fit(dst, wanted, offset_dst)
        try:
            return function(src, dst, count if fit == wanted else fit, offset_src, offset_dst)
        except OSError as error:
            reword(error, dst)
            raise

    return call


def measuring(function: Function, keyword: str = "path") -> Function:
    """``os.statvfs``: ``/tmp`` is a file system of its own."""
    ask = reading(function, keyword)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = ask(*args, **kwargs)
        if not folders or not is_in_tmp((*args, *kwargs.values())[0]):
            return found
        left = max(tmp_bytes - all_taken(), 0) // PAGE_BYTES
        sizes = (PAGE_BYTES, PAGE_BYTES, tmp_bytes // PAGE_BYTES, left, left)
        return type(found)((*sizes, *found[len(sizes) :]), {"f_fsid": found.f_fsid})

    return call


class Entry:
    """What ``os.scandir`` finds, under the name of the folder that was asked for."""

    def __init__(self, entry: os.DirEntry[Any], folder: Any) -> None:
        self._entry = entry
        self.name = entry.name
        self.path = os.path.join(folder, entry.name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return repr(self._entry)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        """As ``os.stat`` tells it."""
        return as_shown(self._entry.stat(follow_symlinks=follow_symlinks))


class Entries:
    """The iterator that ``os.scandir`` gives."""

    def __init__(self, entries: Any, folder: Any) -> None:
        self._entries = entries
        self._folder = folder
        self.close = entries.close

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return Entry(next(self._entries), self._folder)

    def __enter__(self) -> Entries:  # noqa: PYI034  # Self is younger than 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scanning(function: Function) -> Function:
    """``os.scandir``."""

    @functools.wraps(function)
    def call(path: Any = ".") -> Any:
        place = real(path)
        found = carry_out(function, place, path, (), {})
        if place is path and not users:
            return found
        return Entries(found, "" if isinstance(path, int) else os.fspath(path))

    return call


def starting(function: Function) -> Function:
    """What ``subprocess`` starts programs with: real paths for the program, its arguments and its folders."""

    @functools.wraps(function)
    def call(args: Any, programs: Any, *rest: Any) -> Any:
        close_fds, pass_fds, cwd, variables, *others = rest
        others[GROUP_OF_PROGRAM] = real_id(groups, others[GROUP_OF_PROGRAM])
        others[GROUP_OF_PROGRAM + 2] = real_id(users, others[GROUP_OF_PROGRAM + 2])
        args, programs = real_arguments(args), tuple(real(each) for each in programs)
        if variables is not None:
            pairs = for_programs(dict(each.split(b"=", 1) for each in variables))
            variables = [name + b"=" + value for name, value in pairs.items()]
        return function(args, programs, close_fds, pass_fds, cwd if cwd is None else real(cwd), variables, *others)

    return call


def putting(function: Function) -> Function:
    """``os.putenv``, which also ``os.environ`` calls: programs are started with what it is given."""

    @functools.wraps(function)
    def call(name: Any, value: Any) -> None:
        function(name, for_program(name, value))

    return call


def taking_away(function: Function) -> Function:
    """``os.unsetenv``: what tells a Python about AWS's folders stays."""

    @functools.wraps(function)
    def call(name: Any) -> None:
        if folders and os.fsdecode(name) == MODULES:
            os.putenv(name, "")
        else:
            function(name)

    return call


def commanding(function: Function) -> Function:
    """``os.system``."""

    @functools.wraps(function)
    def call(command: Any) -> Any:
        return function(real_within(command))

    return call


def addressing(function: Function) -> Function:
    """What a socket is bound or connected with: sockets of this machine have paths, too."""

    @functools.wraps(function)
    def call(self: Any, address: Any) -> Any:
        place = real(address) if isinstance(address, (str, bytes)) else address
        if place is address or len(os.fsencode(place)) < SOCKET_NAME_BYTES:
            return function(self, place)
        folder = os.open(os.path.dirname(place), os.O_PATH)
        try:
            return function(self, os.path.join(f"/proc/self/fd/{folder}", os.path.basename(os.fsdecode(place))))
        finally:
            os.close(folder)

    return call


def loading(function: Function) -> Function:
    """What makes loaders of modules that are told their file."""

    @functools.wraps(function)
    def call(self: Any, name: Any, path: Any) -> None:
        function(self, name, real(path))

    return call


def refuse(*path: Any) -> None:
    """Raise what the kernel does of a file that is not there, if this interpreter has AWS's folders."""
    if folders:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), *path)


def sharing(function: Function) -> Function:
    """Memory and locks that processes share by a name: in /dev/shm, which is not there."""

    @functools.wraps(function)
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(path)
        return function(path, *args, **kwargs)

    return call


def lacking(function: Function) -> Function:
    """What opens a pseudo-terminal: there is none."""

    @functools.wraps(function)
    def call() -> Any:
        refuse()
        return function()

    return call


def locking(kind: Any) -> Any:
    """``multiprocessing``'s semaphores."""

    class SemLock(kind):  # type: ignore[misc]
        __doc__, __module__ = kind.__doc__, kind.__module__

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            refuse()
            return super().__new__(cls, *args, **kwargs)

    return SemLock


def naming(function: Function) -> Function:
    """``pwd.getpwuid``, which knows the user that functions run as."""

    @functools.wraps(function)
    def call(uid: int) -> Any:
        if folders and uid in {os.getuid(), real_getuid()}:
            return type(function(0))((user, "x", os.getuid(), os.getgid(), "", "/home/" + user, "/sbin/nologin"))
        return function(uid)

    return call


def limiting(function: Function) -> Function:
    """``resource.getrlimit``: some limits stand in for what namespaces would do."""

    @functools.wraps(function)
    def call(number: int) -> Any:
        return limits[number] if number in limits else function(number)

    return call


def limiting_anew(function: Function) -> Function:
    """``resource.setrlimit``."""

    @functools.wraps(function)
    def call(number: int, wanted: Any) -> None:
        function(number, wanted)
        limits.pop(number, None)

    return call


def becoming(function: Function) -> Function:
    """A function that starts a program, or becomes one."""

    @functools.wraps(function)
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        told = [*args, *(kwargs.pop(name) for name in ("argv", "env")[len(args) :] if name in kwargs)]
        if told and isinstance(told[0], (list, tuple)):
            told[0] = real_arguments(told[0])
        if len(told) > 1 and told[1] is not None:
            told[1] = for_programs(told[1])
        if kwargs.get("file_actions"):
            kwargs["file_actions"] = [tuple(map(real, action)) for action in kwargs["file_actions"]]
        return carry_out(function, real(path), path, tuple(told), kwargs)

    return call


def import_from_real_folder(entry: str) -> Any:
    """Find modules for an entry of ``sys.path`` below one of AWS's folders."""
    place = real(entry)
    if place is entry:
        raise ImportError(entry)
    for hook in sys.path_hooks:
        if hook is not import_from_real_folder:
            try:
                return hook(place)
            except ImportError:
                continue
    raise ImportError(entry)


def without_own_frames(function: Function) -> Function:
    """What ``traceback`` walks with: tracebacks show no frames of this module, as if nothing had been replaced."""

    @functools.wraps(function)
    def walk(trace: Any) -> Iterator[Any]:
        while trace and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        for found in function(trace):
            if found[0].f_code.co_filename != __file__:
                yield found

    return walk


def print_exception(*error: Any) -> None:
    """What an interpreter prints of an uncaught error, without this module's frames."""
    import traceback

    traceback.print_exception(*error)


def print_exception_of_thread(args: Any) -> None:
    """The same for a thread."""
    if args.exc_type is not SystemExit:
        print(f"Exception in thread {args.thread.name}:", file=sys.stderr)
        print_exception(args.exc_type, args.exc_value, args.exc_traceback)


def change_socket(module: Any) -> None:
    """Sockets of this machine."""
    for name in ("bind", "connect", "connect_ex"):
        replace(module.socket, name, addressing)


def change_traceback(module: Any) -> None:
    """Tracebacks in which this module does not show."""
    for name in ("walk_tb", "_walk_tb_with_full_positions"):
        replace(module, name, without_own_frames)


def change_threading(module: Any) -> None:
    """What is printed of the uncaught errors of threads; from 3.13 on by means of the module traceback."""
    if sys.version_info < (3, 13):  # noqa: UP036
        module.excepthook = print_exception_of_thread


def change_semaphores(module: Any) -> None:
    """Locks that processes share."""
    module.SemLock = locking(module.SemLock)


def change_shared_memory(module: Any) -> None:
    """Memory that processes share."""
    for name in ("shm_open", "shm_unlink"):
        replace(module, name, sharing)


CHANGES: dict[str, Callable[[Any], None]] = {
    "_ctypes": lambda module: replace(module, "dlopen", reading),
    "_multiprocessing": change_semaphores,
    "_posixshmem": change_shared_memory,
    "_posixsubprocess": lambda module: replace(module, "fork_exec", starting),
    "_sqlite3": lambda module: replace(module, "connect", functools.partial(reading, keyword="database")),
    "ctypes": lambda module: replace(module, "_dlopen", reading),
    "pwd": lambda module: replace(module, "getpwuid", naming),
    "socket": change_socket,
    "threading": change_threading,
    "traceback": change_traceback,  # with what it imports, which keeps ``open``
}


class Later:
    """Finds modules as the others do, and changes them when they have been imported."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What ``import`` asks for."""
        change = self._changes.pop(name, None)
        for finder in sys.meta_path if change else ():
            spec: Any = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None:
                spec.loader = Changing(spec.loader, change)
                return spec
        return None


class Changing:
    """Loads a module by means of its loader, and changes it."""

    def __init__(self, loader: Any, change: Any) -> None:
        self._loader, self._change = loader, change

    def create_module(self, spec: Any) -> Any:
        """What ``import`` asks for."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """What ``import`` asks for; nothing of this shows in the module."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)


def install(*, at_once: bool = True) -> None:
    """Put these in place of the functions of ``os`` and so on; until ``move_in`` they change nothing.

    Args:
        at_once: whether to import what is to be changed, for forks to come; else it is changed when it is imported.
    """
    from importlib import _bootstrap_external, import_module  # type: ignore[attr-defined]

    replace(resource, "getrlimit", limiting)
    replace(resource, "setrlimit", limiting_anew)
    kinds: tuple[tuple[Iterable[str], Callable[[Function], Function]], ...] = (
        (READING, reading),
        (TELLING, telling),
        (STARTING, becoming),
        (CREATING, creating),
        (CHANGING, changing),
        (REMOVING, removing),
        (MOVING, moving),
        (LINKING, linking),
        (WRITING, writing),
        (FILLING, filling),
        (OWNING, owning),  # after what changes
        *((names, functools.partial(identifying, shown=ids)) for names, ids in ((USER, users), (GROUP, groups))),
        *((names, functools.partial(assuming, shown=ids)) for names, ids in ((SET_USER, users), (SET_GROUP, groups))),
    )
    for names, kind in kinds:
        for name in names:
            replace(os, name, kind)
    replace(os, "fstat", functools.partial(telling, keyword="fd"))
    replace(os, "sendfile", sending)
    replace(os, "copy_file_range", copying)
    replace(os, "statvfs", measuring)
    replace(os, "fstatvfs", functools.partial(measuring, keyword="fd"))
    replace(os, "putenv", putting)
    replace(os, "unsetenv", taking_away)
    replace(os, "system", commanding)
    for name in ("openpty", "forkpty"):
        replace(os, name, lacking)
    replace(_bootstrap_external.FileLoader, "__init__", loading)
    replace(os, "scandir", scanning)
    replace(os, "open", opening_descriptor)
    replace(io, "open", opening)
    builtins.open = io.open
    replace(io, "open_code", reading)
    if sys.version_info < (3, 13):  # noqa: UP036  # from then on interpreters print by means of the module traceback
        sys.excepthook = sys.__excepthook__ = print_exception
    sys.path_hooks.insert(0, import_from_real_folder)
    for name in [name for name in CHANGES if at_once or name in sys.modules]:
        with suppress(ImportError):
            CHANGES[name](import_module(name))
    if not at_once:
        sys.meta_path.insert(0, Later({name: CHANGES[name] for name in CHANGES if name not in sys.modules}))


class Named(functools.partial):  # type: ignore[type-arg]
    """A function that is no method in a class, and is pickled by its name."""

    __name__: str

    def __reduce__(self) -> str:
        return self.__name__


def replace(module: Any, name: str, kind: Callable[[Function], Function]) -> None:
    """Put a function in place of another, also in what ``os`` says about which functions can do what."""
    old = getattr(module, name, None)
    if old is None:
        return
    new = kind(old)
    is_module = not isinstance(module, type)
    if is_module:
        new.__module__ = module.__name__  # where pickle finds it
    if is_module and sys.version_info < (3, 11):  # functions are for more versions than LocalStack
        new = Named(new)  # pathlib keeps these in a class, where a function would become a method
        new.__name__, new.__module__ = name, module.__name__
    setattr(module, name, new)
    for abilities in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if old in abilities:
            abilities.add(new)
