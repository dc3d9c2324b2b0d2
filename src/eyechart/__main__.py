"""The `eyechart` command. Ctrl-C while modules are being imported ends it like any other Ctrl-C."""

from __future__ import annotations

import sys

_STOPPED = 130


def main() -> None:
    """Run the command line and exit."""
    try:
        from eyechart.cli import run_args
        from eyechart.core.workers import let_threads_sleep

        let_threads_sleep()
        code = run_args(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("eyechart: stopped\n")
        code = _STOPPED
    import signal

    # Python takes up to a second to end. Ctrl-C in this time must not replace the exit code of
    # work that is done, or print a traceback; after a stop, a second Ctrl-C ends it at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL if code == _STOPPED else signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
