//! The certificate authority of one installation.
//!
//! ```text
//! <dir>/ca.key        private key, PEM, 0600
//! <dir>/ca.crt        certificate, PEM
//! <dir>/enrol.token   enrolment token, 0600; delete it and restart to make another
//! ```
//! The server's own certificate is made anew at each start. Agents' certificates live
//! `AGENT_YEARS`; an agent whose certificate is near its end enrols again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use sha2::{Digest, Sha256};

use schema::wire::{
    AGENT_NAME_SUFFIX, ALPN_DATA, ALPN_ENROL, AgentUuid, EnrolmentToken, SERVER_NAME,
};

use crate::files::{make_private_dir, read_if_present, write_private};

const AUTHORITY_NAME: &str = "DeepFlow authority";
const AUTHORITY_YEARS: i32 = 30;
const AGENT_YEARS: i32 = 10;

/// Why the authority could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("access {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error(
        "{path} is damaged: {what}; restore it, or delete the folder and enrol all agents anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A key or certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("set up TLS: {0}")]
    Tls(String),
}

/// Why an agent got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The token is not ours.
    #[error("the enrolment token is wrong")]
    WrongToken,
    /// The signing request cannot be read, or is not signed by its key.
    #[error("the certificate signing request is unusable: {0}")]
    Request(#[source] rcgen::Error),
}

/// Certificate authority and enrolment token of one installation.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    token: EnrolmentToken,
    token_path: PathBuf,
    provider: Arc<CryptoProvider>,
}

impl Authority {
    /// Opens the authority in `dir`; makes it when there is none.
    pub fn open(dir: &Path) -> Result<Self, AuthorityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        make_private_dir(dir).map_err(at(dir))?;
        let key = open_key(&dir.join("ca.key"))?;
        let certificate = open_certificate(&dir.join("ca.crt"), &key)?;
        let token_path = dir.join("enrol.token");
        let authority_sha256 = Sha256::digest(&certificate).into();
        let token = open_token(&token_path, authority_sha256, &provider)?;
        let issuer = Issuer::new(authority_params(&key), key);
        Ok(Self { issuer, certificate, token, token_path, provider })
    }

    /// Token that agents enrol with.
    pub fn token(&self) -> &EnrolmentToken {
        &self.token
    }

    /// File that holds the token.
    pub fn token_path(&self) -> &Path {
        &self.token_path
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Issues a client certificate (DER) for the key in `csr_der`, with the name of `agent`.
    pub fn enrol(
        &self,
        token_secret: &str,
        agent: AgentUuid,
        csr_der: &[u8],
    ) -> Result<Vec<u8>, IssueError> {
        if !equal_in_constant_time(token_secret.as_bytes(), self.token.secret.as_bytes()) {
            return Err(IssueError::WrongToken);
        }
        let mut request = CertificateSigningRequestParams::from_der(&csr_der.to_vec().into())
            .map_err(IssueError::Request)?;
        // Of the request only the key counts: the names and rights are ours to give.
        request.params = leaf_params(&agent_name(agent), ExtendedKeyUsagePurpose::ClientAuth)
            .map_err(IssueError::Request)?;
        let certificate = request.signed_by(&self.issuer).map_err(IssueError::Request)?;
        Ok(certificate.der().to_vec())
    }

    /// TLS 1.3 for the ingest endpoint, with a fresh server certificate.
    ///
    /// A client may come without certificate (to enrol); one that shows a certificate that is not
    /// ours is refused in the handshake. Who may do what is decided by ALPN: see [`is_agent`].
    ///
    /// [`is_agent`]: Self::is_agent
    pub fn server_config(&self) -> Result<rustls::ServerConfig, AuthorityError> {
        let tls = |error: &dyn std::fmt::Display| AuthorityError::Tls(error.to_string());
        let key = KeyPair::generate()?;
        let params = leaf_params(SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth)?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| tls(&error))?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), self.provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|error| tls(&error))?;
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone(), self.certificate.clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .map_err(|error| tls(&error))?;
        config.alpn_protocols = vec![ALPN_DATA.to_vec(), ALPN_ENROL.to_vec()];
        Ok(config)
    }

    /// Whether a certificate that passed the handshake is the one of `agent`.
    pub fn is_agent(certificate: &CertificateDer<'_>, agent: AgentUuid) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let Ok(name) = ServerName::try_from(agent_name(agent)) else { return false };
        rustls::client::verify_server_name(&parsed, &name).is_ok()
    }
}

fn agent_name(agent: AgentUuid) -> String {
    format!("{agent}{AGENT_NAME_SUFFIX}")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let path = path.to_owned();
    move |source| AuthorityError::File { path, source }
}

fn open_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    if let Some(pem) = read_if_present(path).map_err(at(path))? {
        return KeyPair::from_pem(&pem).map_err(|error| AuthorityError::Damaged {
            path: path.to_owned(),
            what: error.to_string(),
        });
    }
    let key = KeyPair::generate()?;
    write_private(path, &key.serialize_pem()).map_err(at(path))?;
    tracing::info!(path = %path.display(), "certificate authority made");
    Ok(key)
}

fn open_certificate(path: &Path, key: &KeyPair) -> Result<CertificateDer<'static>, AuthorityError> {
    if let Some(pem) = read_if_present(path).map_err(at(path))? {
        let damaged = |what: String| AuthorityError::Damaged { path: path.to_owned(), what };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| damaged(error.to_string()))?;
        // A certificate of another key would refuse every agent later; say so now.
        if !contains(&certificate, key.public_key_raw()) {
            return Err(damaged("it does not belong to ca.key".into()));
        }
        return Ok(certificate);
    }
    let certificate = authority_params(key).self_signed(key)?;
    write_private(path, &certificate.pem()).map_err(at(path))?;
    Ok(certificate.der().clone())
}

fn open_token(
    path: &Path,
    authority_sha256: [u8; 32],
    provider: &CryptoProvider,
) -> Result<EnrolmentToken, AuthorityError> {
    if let Some(text) = read_if_present(path).map_err(at(path))? {
        let token = text.parse::<EnrolmentToken>().ok();
        return match token.filter(|token| token.authority_sha256 == authority_sha256) {
            Some(token) => Ok(token),
            None => Err(AuthorityError::Damaged {
                path: path.to_owned(),
                what: "not a token of this authority".into(),
            }),
        };
    }
    let mut random = [0u8; 32];
    provider
        .secure_random
        .fill(&mut random)
        .map_err(|_| AuthorityError::Tls("no random numbers".into()))?;
    let secret = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = EnrolmentToken { secret, authority_sha256 };
    write_private(path, &format!("{token}\n")).map_err(at(path))?;
    Ok(token)
}

/// The same at each start, but for the validity, which agents read in the certificate. The name
/// holds a digest of the key: an agent of another installation then reads "unknown issuer".
fn authority_params(key: &KeyPair) -> CertificateParams {
    let digest = Sha256::digest(key.public_key_raw());
    let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY_NAME} {digest}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_YEARS);
    params
}

fn leaf_params(
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::DnsName(name.to_owned().try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, AGENT_YEARS);
    Ok(params)
}

/// From long ago, since the clocks of hosts may be wrong by years.
fn set_validity(params: &mut CertificateParams, years: i32) {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let year = 1970 + (seconds / 31_556_952) as i32;
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(year + years, 1, 1);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}
