"""Large memory pages: an update fills hundreds of megabytes anew, and 4 KiB at a time that costs a third of its time.

XLA asks for an update's memory when it begins and gives it back when it ends, so the operating system hands out and
clears every page again each time. With pages of 2 MiB there are 500 times fewer. The C library of Linux (glibc 2.35 and
later) asks for them if the environment variable ``GLIBC_TUNABLES`` says so when a process starts, and in no other way;
hence the restart. Where Linux has no such pages to give, or another C library is in use, nothing changes.
"""

import os
import sys

VARIABLE = "GLIBC_TUNABLES"
LARGE_PAGES = "glibc.malloc.hugetlb=1"


def restart_with_large_pages() -> None:
    """Start this program again with large pages, in the same process and with the same arguments; at most once.

    A value that the user gave to the variable, an empty one too, is left alone and nothing is restarted. Call it before
    anything heavy is imported.
    """
    if sys.platform != "linux" or VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = LARGE_PAGES
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
