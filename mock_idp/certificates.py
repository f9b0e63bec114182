"""The generated CA and the certificate of the https port; the CA is kept, so that it is trusted once only."""

import errno
import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mock_idp.keys import KeyStoreError, write_private

_CA_DAYS = 3650
_LEAF_DAYS = 397


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class _ServerContext(ssl.SSLContext):
    """A context for accepted connections."""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap a socket; whatever is wrong with it, the client is gone already.

        Raises:
            OSError: ECONNABORTED, for which Tornado closes the socket and logs no traceback.
        """
        try:
            return super().wrap_socket(*args, **kwargs)
        except OSError as error:
            raise OSError(errno.ECONNABORTED, str(error)) from error


class CertificateAuthority:
    """A CA of this machine's own, in two files of the state folder.

    Args:
        state_dir: where `ca.pem` and `ca.key` (mode 0600) are kept.

    Raises:
        KeyStoreError: the files are damaged or cannot be written.
    """

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "ca.pem"
        key_path = state_dir / "ca.key"
        try:
            if not (self.path.exists() and key_path.exists()):
                key = ec.generate_private_key(ec.SECP256R1())
                write_private(key_path, _pem(key))
                write_private(self.path, _ca_certificate(key).public_bytes(serialization.Encoding.PEM))
            private = serialization.load_pem_private_key(key_path.read_bytes(), None)
            self._certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        except OSError as error:
            raise KeyStoreError(f"The CA in {state_dir} cannot be used: {error.strerror}.") from error
        except (ValueError, TypeError) as error:
            raise KeyStoreError(
                f"The CA in {state_dir} is damaged. Delete ca.pem and ca.key: a new one will be made."
            ) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise KeyStoreError(f"The CA key in {state_dir} is of another kind; delete ca.pem and ca.key.")
        self._key = private

    @property
    def pem(self) -> bytes:
        """The CA's certificate, to be trusted by clients."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, hosts: list[str]) -> ssl.SSLContext:
        """Return a TLS context with a fresh certificate for names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_id = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(_name(hosts[0]), self._certificate.subject, key.public_key(), _LEAF_DAYS)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=".tls.") as file:
            # Python's ssl loads certificates from files only; this one is gone when the block ends.
            file.write(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM) + self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _ca_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("Gatehouse mock issuer CA (this machine only)")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _builder(name, name, key.public_key(), _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
