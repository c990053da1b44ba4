//! Who the agent is: id, key, certificate; and the TLS settings made from them.
//!
//! ```text
//! <dir>/agent.uuid      id, made at first start
//! <dir>/agent.key       private key, PEM, 0600; never leaves the host
//! <dir>/agent.crt       certificate that the server issued, DER
//! <dir>/authority.crt   certificate of the server's authority, DER
//! ```

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};

use schema::wire::{ALPN_DATA, ALPN_ENROL, AgentUuid, EnrolmentToken};

/// Why the identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key or request could not be made, or a file does not hold one.
    #[error("key or certificate in {path}: {what}")]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Certificates that the server issued, DER.
pub(crate) struct Certificates {
    pub certificate: Vec<u8>,
    pub authority: Vec<u8>,
}

/// The agent's identity.
pub(crate) struct Identity {
    dir: PathBuf,
    pub uuid: AgentUuid,
    key: KeyPair,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// Opens the identity; makes id and key at first start.
    pub fn open(dir: &Path) -> Result<Self, IdentityError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let uuid_path = dir.join("agent.uuid");
        let uuid = match read_if_present(&uuid_path)? {
            Some(bytes) => String::from_utf8_lossy(&bytes).trim().parse().map_err(|_| {
                IdentityError::Damaged { path: uuid_path, what: "not a UUID".into() }
            })?,
            None => {
                let uuid = random_uuid().map_err(at(&uuid_path))?;
                write_private(&uuid_path, format!("{uuid}\n").as_bytes())?;
                uuid
            }
        };
        let key_path = dir.join("agent.key");
        let damaged = |error: rcgen::Error| IdentityError::Damaged {
            path: dir.join("agent.key"),
            what: error.to_string(),
        };
        let key = match read_if_present(&key_path)? {
            Some(pem) => KeyPair::from_pem(&String::from_utf8_lossy(&pem)).map_err(damaged)?,
            None => {
                let key = KeyPair::generate().map_err(damaged)?;
                write_private(&key_path, key.serialize_pem().as_bytes())?;
                key
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Self { dir: dir.to_owned(), uuid, key, provider })
    }

    /// What the server issued, when enrolled.
    pub fn certificates(&self) -> Result<Option<Certificates>, IdentityError> {
        let certificate = read_if_present(&self.dir.join("agent.crt"))?;
        let authority = read_if_present(&self.dir.join("authority.crt"))?;
        let both = certificate.zip(authority);
        Ok(both.map(|(certificate, authority)| Certificates { certificate, authority }))
    }

    /// Keeps what the server issued. The authority goes first: without the certificate the
    /// agent enrols again.
    pub fn keep(&self, issued: &Certificates) -> Result<(), IdentityError> {
        write_private(&self.dir.join("authority.crt"), &issued.authority)?;
        write_private(&self.dir.join("agent.crt"), &issued.certificate)
    }

    /// A signing request for the agent's key, DER.
    pub fn signing_request(&self) -> Result<Vec<u8>, IdentityError> {
        let request = CertificateParams::default().serialize_request(&self.key);
        let request = request.map_err(|error| self.damaged(&error))?;
        Ok(request.der().to_vec())
    }

    /// TLS for data connections: our certificate, and a server of that authority.
    pub fn data_tls(&self, issued: Certificates) -> Result<ClientConfig, IdentityError> {
        let mut roots = RootCertStore::empty();
        roots.add(issued.authority.into()).map_err(|error| self.damaged(&error))?;
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| self.damaged(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![issued.certificate.into()], key.into())
            .map_err(|error| self.damaged(&error))?;
        config.alpn_protocols = vec![ALPN_DATA.to_vec()];
        Ok(config)
    }

    /// TLS for enrolment: a server whose authority is the token's.
    pub fn enrol_tls(&self, token: &EnrolmentToken) -> Result<ClientConfig, IdentityError> {
        let verifier = PinnedAuthority {
            authority_sha256: token.authority_sha256,
            provider: self.provider.clone(),
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| self.damaged(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN_ENROL.to_vec()];
        Ok(config)
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> IdentityError {
        IdentityError::Damaged { path: self.dir.clone(), what: error.to_string() }
    }
}

/// SHA-256 of a certificate.
pub(crate) fn sha256(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// Trusts servers whose chain holds the authority of this digest, and that it has signed.
#[derive(Debug)]
struct PinnedAuthority {
    authority_sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|certificate| sha256(certificate) == self.authority_sha256)
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone())
                .build()
                .map_err(|_| unknown())?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A random UUID (RFC 9562, version 4).
fn random_uuid() -> io::Result<AgentUuid> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(AgentUuid(bytes))
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Writes a file with mode 0600, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let part = path.with_extension("part");
    let write = || {
        let _ = fs::remove_file(&part);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::File { path, source }
}
