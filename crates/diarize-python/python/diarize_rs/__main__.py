"""The program ``diarize``."""

import signal
import sys


def main() -> int:
    """Runs the program with the command line of this process and returns its exit code."""
    # Python's handler would only be called after the program, which has a handler of its own where it needs one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import _native

    return _native.main(["diarize", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
