//! The authority survives restarts, refuses damage, and issues what it should.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;

use schema::wire::AgentUuid;

use crate::{Authority, AuthorityError, IssueError};

fn csr() -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.is_ca = rcgen::IsCa::NoCa;
    params.serialize_request(&key).unwrap().der().to_vec()
}

#[test]
fn it_is_made_once_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = Authority::open(dir.path()).unwrap();
    let second = Authority::open(dir.path()).unwrap();
    assert_eq!(first.certificate(), second.certificate());
    assert_eq!(first.token(), second.token());
    for name in ["ca.key", "enrol.token"] {
        let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn it_issues_names_of_its_own_choice_against_the_token_only() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path()).unwrap();
    let agent = AgentUuid([3; 16]);
    let wrong = authority.enrol("0000", agent, &csr());
    assert!(matches!(wrong, Err(IssueError::WrongToken)));
    let secret = &authority.token().secret;
    let garbage = authority.enrol(secret, agent, b"garbage");
    assert!(matches!(garbage, Err(IssueError::Request(_))));
    let issued = CertificateDer::from(authority.enrol(secret, agent, &csr()).unwrap());
    assert!(Authority::is_agent(&issued, agent));
    assert!(!Authority::is_agent(&issued, AgentUuid([4; 16])));
    assert!(!issued.windows(12).any(|window| window == b"evil.example"));
    assert!(authority.server_config().is_ok());
}

#[test]
fn certificates_issued_after_a_restart_chain_to_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path()).unwrap().certificate().clone();
    let again = Authority::open(dir.path()).unwrap();
    let agent = AgentUuid([5; 16]);
    let issued = again.enrol(&again.token().secret, agent, &csr()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .unwrap();
    let now = rustls::pki_types::UnixTime::now();
    verifier.verify_client_cert(&issued.into(), &[], now).unwrap();
}

#[test]
fn damaged_files_are_named_and_never_replaced() {
    for name in ["ca.key", "ca.crt", "enrol.token"] {
        let dir = tempfile::tempdir().unwrap();
        Authority::open(dir.path()).unwrap();
        fs::write(dir.path().join(name), "damaged").unwrap();
        let error = Authority::open(dir.path()).err().unwrap();
        assert!(matches!(&error, AuthorityError::Damaged { path, .. } if path.ends_with(name)));
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "damaged");
    }
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Authority::open(one.path()).unwrap();
    Authority::open(two.path()).unwrap();
    fs::copy(one.path().join("ca.crt"), two.path().join("ca.crt")).unwrap();
    let error = Authority::open(two.path()).err().unwrap();
    assert!(error.to_string().contains("does not belong to ca.key"));
}
