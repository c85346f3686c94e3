"""Stands in for our own commands under the supervisor: as small as can be.

Only the simulators are the real ones.
"""

import http.server
import subprocess
import sys
import time


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(command: str, *arguments: str) -> None:
    if command == "simulators":
        from funmagic.cli import main as funmagic

        funmagic([command, *arguments])
    if command == "worker":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
    if command == "web":
        address = (arguments[1], int(arguments[3]))
        http.server.ThreadingHTTPServer(address, Healthy).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
