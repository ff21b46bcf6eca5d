"""Valid and invalid certificates for servers on this machine."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = datetime.timedelta(days=1)


class Authority:
    """A certificate authority. `cafile` is the file with its certificate, for clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Herald's tests")
        self.cafile = str(folder / "ca.pem")
        own = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        Path(self.cafile).write_bytes(own)

    def server(self, *hosts: str) -> ssl.SSLContext:
        """Return the TLS context of a server with these names; 127.0.0.1 and localhost by default."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.write(*hosts))
        return context

    def write(self, *hosts: str) -> Path:
        """Write a file with the certificate of a server with these names, and its key. Returns the path of the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = x509.SubjectAlternativeName([_host(host) for host in hosts or ("127.0.0.1", "localhost")])
        file = self._folder / f"{'-'.join(hosts) or 'local'}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + self._signed(_name("a server"), key, named)
        )
        return file

    def _signed(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
