"""The `eyechart` command. Ctrl-C while modules are being imported ends it like any other Ctrl-C."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit."""
    try:
        from eyechart.cli import main as run
        from eyechart.core.workers import let_threads_sleep

        let_threads_sleep()
        run()
    except KeyboardInterrupt:
        sys.stderr.write("eyechart: stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
