"""Becomes another program that the kernel ends when the process that started it ends.

Run as ``python -I -S tether.py PARENT_PID IDENTITY SIGNAL PROGRAM [ARGUMENT…]``, as a script and
without the package, so that it costs one bare interpreter start. IDENTITY is how to be seen by
PROGRAM: ``self`` (as we are), ``namespace`` (as nobody, inside a user namespace of our own) or
``nobody`` (a real switch of user). The last two are for PostgreSQL, which refuses to run as root.

The tie to the parent is ``PR_SET_PDEATHSIG``; it must be made after any change of identity, which
would clear it, and it fires when the *thread* that started us ends. Elsewhere than on Linux there
is no such call and the janitor alone cleans up.
"""

import ctypes
import os
import signal
import sys

NOBODY = 65534
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
#: Exit status when the wanted identity cannot be had here.
NO_SUCH_IDENTITY = 97


def main(arguments: list[str]) -> None:
    """Take on the identity, tie ourselves to the parent, and become the program."""
    # Python would note an interrupt for later, and the program would never hear of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent_pid, identity, death_signal, program = arguments[:4]
    try:
        take_identity(identity)
    except OSError as error:
        print(f"tether: cannot run as {identity}: {error}", file=sys.stderr)
        raise SystemExit(NO_SUCH_IDENTITY) from error
    if sys.platform.startswith("linux"):
        call_libc("prctl", PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent_pid):  # the parent ended before the tie was made
            os.kill(os.getpid(), signal.SIGKILL)
    os.execv(program, arguments[3:])  # noqa: S606 (no shell is the point)


def take_identity(identity: str) -> None:
    """Raises OSError where this machine does not allow it."""
    if identity == "namespace":
        uid, gid = os.geteuid(), os.getegid()
        call_libc("unshare", CLONE_NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{NOBODY} {uid} 1")
        write("/proc/self/gid_map", f"{NOBODY} {gid} 1")
    elif identity == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def call_libc(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error_number = ctypes.get_errno()
        raise OSError(error_number, f"{name}: {os.strerror(error_number)}")


def write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1:])
