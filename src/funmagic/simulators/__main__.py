"""A simulator that lives as long as its standard input: how tests run one.

Run as ``python -m funmagic.simulators FOLDER {http|https}``. Says where it is in one line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from funmagic.simulators.server import Simulators, listen


def main(folder: str, scheme: str) -> None:
    """Serve on free loopback ports until standard input ends."""
    simulators = Simulators(listen(0), listen(0), tls=scheme == "https", folder=Path(folder))

    def announce() -> None:
        threading.Thread(target=stop_with_parent, daemon=True).start()
        ca_file = simulators.ca_file and str(simulators.ca_file)
        place = {
            "url": simulators.url,
            "caFile": ca_file,
            "signInUrl": simulators.sign_in_url,
        }
        print(json.dumps(place), flush=True)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        simulators.stop()

    simulators.run(announce)


if __name__ == "__main__":
    main(*sys.argv[1:])
