"""Make, list and open the key files of approvers: Ed25519 private keys, encrypted by a passphrase.

In: a folder outside every workspace and store, names, passphrases. Out: files that only their owner may read, and keys
to sign with. The key of the file is derived from the passphrase by scrypt (RFC 7914), and encrypts the private key with
AES-256-GCM.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from e2i import regular
from e2i.documents import Element
from e2i.errors import BadInput, Refused, ToolUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SUFFIX = ".key"
MOST = 64 * 2**10
"""Largest key file in bytes."""
SHORTEST = 8
"""Least characters of a passphrase."""
COST = 2**17
"""scrypt's N, with r = 8 and p = 1: 128 MiB and about 0.3 s a try."""
BLOCK = 8
PREFIX = "ed25519:"


class KeyDocument(Element, frozen=True, kw_only=True):
    """A key file."""

    name: Annotated[str, Meta(description="Name of the approver, as in `approvers` of config/policy.yaml.")]
    public: Annotated[str, Meta(description="Public key, as in `approvers` of config/policy.yaml.")]
    file: Annotated[str, Meta(description="Path of the encrypted private key.")]


class _Content(Struct, frozen=True, forbid_unknown_fields=True):
    e2i_key: int
    name: str
    public: str
    cost: int
    salt: str
    nonce: str
    private: str
    """The private key, encrypted."""


def folder(environ: Mapping[str, str]) -> Path:
    """Returns the folder of this user's key files."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "e2i" / "keys"


def make(path: Path, name: str, passphrase: str, *, cost: int = COST) -> KeyDocument:
    """Makes a key pair and writes its file. ``cost``: scrypt's N.

    Raises BadInput when the file exists or the passphrase is too short.
    """
    if len(passphrase) < SHORTEST:
        raise BadInput(
            f"the passphrase has fewer than {SHORTEST} characters",
            code="bad-key-file",
            hint="use several words; the passphrase is what keeps programs of your own account from signing",
        )
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    private = _ed25519().generate()
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    public = public_text(private)
    sealed = AESGCM(_derived(passphrase, salt, cost)).encrypt(nonce, private.private_bytes_raw(), public.encode())
    content = _Content(1, name, public, cost, _text(salt), _text(nonce), _text(sealed))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise BadInput(f"{path} exists", code="bad-key-file", hint="choose another name, or remove the file") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(msgspec.to_builtins(content), indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return KeyDocument(name=name, public=public, file=str(path))


def listed(where: Path) -> list[KeyDocument]:
    """Returns the key files of a folder, by name. Files that are none are left out."""
    found = []
    for path in sorted(where.glob(f"*{SUFFIX}")) if where.is_dir() else ():
        try:
            content = _read(path)
        except (BadInput, Refused):
            continue
        found.append(KeyDocument(name=content.name, public=content.public, file=str(path)))
    return found


def named(path: Path) -> KeyDocument:
    """Returns the public part of a key file. Raises BadInput for another file, and Refused when others may read it."""
    content = _read(path)
    return KeyDocument(name=content.name, public=content.public, file=str(path))


def opened(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """Returns the private key. Raises Refused for a wrong passphrase."""
    private_key = _ed25519()
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content = _read(path)
    try:
        key = _derived(passphrase, base64.b64decode(content.salt), content.cost)
        sealed = base64.b64decode(content.private)
        raw = AESGCM(key).decrypt(base64.b64decode(content.nonce), sealed, content.public.encode())
    except InvalidTag as error:
        raise Refused(
            f"the passphrase does not open {path}, or the file was changed", code="bad-passphrase", hint="try again"
        ) from error
    except ValueError as error:
        raise BadInput(f"{path} is not a key file: {error}", code="bad-key-file") from error
    return private_key.from_private_bytes(raw)


def public_text(private: Ed25519PrivateKey) -> str:
    """Returns the public key as the policy lists it."""
    return PREFIX + _text(private.public_key().public_bytes_raw())


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Returns whether the signature of the message is by the key. Raises ToolUnavailable without `cryptography`."""
    _ed25519()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        raw = base64.b64decode(public.removeprefix(PREFIX), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(signature, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed(private: Ed25519PrivateKey, message: bytes) -> str:
    """Returns the signature of a message as base64."""
    return _text(private.sign(message))


def _read(path: Path) -> _Content:
    try:
        found = path.stat()
        content = msgspec.json.decode(regular.read(path, MOST), type=_Content)
    except OSError as error:
        raise BadInput(f"cannot read the key file {path}: {error.strerror}", code="bad-key-file") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a key file of `e2i keys make`", code="bad-key-file") from error
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(
            f"others may read {path}", code="bad-key-file", hint=f"chmod 600 {path}; make a new key if they did"
        )
    if content.e2i_key != 1 or not 2**14 <= content.cost <= 2**20:
        raise BadInput(f"{path} is a key file of another version", code="bad-key-file")
    return content


def _derived(passphrase: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=cost, r=BLOCK, p=1, maxmem=256 * BLOCK * cost, dklen=32)


def _ed25519() -> type[Ed25519PrivateKey]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise ToolUnavailable(
            "approvals",
            f"approvals need the package cryptography: {error}",
            code="tool-missing",
            hint='pip install "e2i[approvals]"',
        ) from error
    return Ed25519PrivateKey


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
