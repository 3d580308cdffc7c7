//! Where a server is and how it is spoken to: its URL, TLS, and a name for it that tells no password.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use native_tls::{Certificate, TlsConnector};
use postgres::config::{Host, SslMode};
use postgres::{Client, Config};
use postgres_native_tls::MakeTlsConnector;

use super::error::ServerError;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long what was sent may stay without an answer of the other machine.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Whether connections are encrypted, and whether the server has to prove who it is: the `sslmode` of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Security {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can.
    #[default]
    Prefer,
    /// Encrypted, whoever the server is.
    Require,
    /// Encrypted, and the certificate is signed by an authority that is trusted.
    VerifyCa,
    /// Besides, it is for the host that was asked for.
    VerifyFull,
}

/// A server and a database of it, with all that a connection needs.
#[derive(Clone)]
pub(super) struct Endpoint {
    config: Config,
    tls: MakeTlsConnector,
}

impl Endpoint {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS`. `password` holds where the URL has none.
    pub(super) fn parse(url: &str, password: Option<&str>) -> Result<Self, ServerError> {
        let (rest, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut security, mut authority, mut others) = (Security::default(), None, Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => security = Security::parse(mode)?,
                Some(("sslrootcert", path)) => authority = Some(PathBuf::from(decoded(path)?)),
                _ => others.push(parameter),
            }
        }
        // What is wrong is not quoted: it may be part of a password.
        let mut config: Config =
            format!("{rest}?{}", others.join("&")).parse().map_err(|_| ServerError::Url("it cannot be read"))?;
        if config.get_hosts().is_empty() {
            return Err(ServerError::Url("it names no host"));
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("qnetsim");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_MAX);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_MAX);
        }
        config.keepalives_idle(SILENCE_MAX);
        config.ssl_mode(match security {
            Security::Disable => SslMode::Disable,
            Security::Prefer => SslMode::Prefer,
            _ => SslMode::Require,
        });
        Ok(Endpoint { config, tls: connector(security, authority)? })
    }

    /// Lets connections search the schema `name` alone.
    pub(super) fn search(&mut self, name: &str) -> Result<(), ServerError> {
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            return Err(ServerError::Url("the name of a schema is of small letters, digits and underscores"));
        }
        let options = self.config.get_options().map_or_else(String::new, |options| format!("{options} "));
        self.config.options(&format!("{options}-csearch_path={name}"));
        Ok(())
    }

    /// A new connection.
    pub(super) fn connect(&self) -> Result<Client, postgres::Error> {
        self.config.connect(self.tls.clone())
    }
}

impl Security {
    fn parse(mode: &str) -> Result<Self, ServerError> {
        Ok(match mode {
            "disable" => Security::Disable,
            "prefer" => Security::Prefer,
            "require" => Security::Require,
            "verify-ca" => Security::VerifyCa,
            "verify-full" => Security::VerifyFull,
            _ => return Err(ServerError::Url("sslmode is disable, prefer, require, verify-ca or verify-full")),
        })
    }
}

/// Encryption by `security`; `authority` is a file with the certificate of one that is trusted beside those of the system.
/// As in PostgreSQL's own client, naming one is asking for proof.
fn connector(security: Security, authority: Option<PathBuf>) -> Result<MakeTlsConnector, ServerError> {
    let security = if security == Security::Require && authority.is_some() { Security::VerifyCa } else { security };
    let mut builder = TlsConnector::builder();
    if let Some(path) = authority {
        let pem = fs::read(&path).map_err(|source| ServerError::Certificate { path, source })?;
        builder.add_root_certificate(Certificate::from_pem(&pem)?);
    }
    let proven = matches!(security, Security::VerifyCa | Security::VerifyFull);
    builder.danger_accept_invalid_certs(!proven);
    builder.danger_accept_invalid_hostnames(security != Security::VerifyFull);
    Ok(MakeTlsConnector::new(builder.build()?))
}

/// `text` without its percent signs.
fn decoded(text: &str) -> Result<String, ServerError> {
    const BAD: ServerError = ServerError::Url("a percent sign stands before two hexadecimal digits of UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let Some((digits, after)) = rest.split_at_checked(2) else { return Err(BAD) };
        let digits = std::str::from_utf8(digits).map_err(|_| BAD)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| BAD)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| BAD)
}

/// User, hosts and database: what a message may say.
impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(out, "{user}@")?;
        }
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => out.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => write!(out, "{}", path.display())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(out, ":{port}")?;
            }
        }
        write!(out, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_told_wherever_it_stands() {
        for url in [
            "postgres://ann:s3cret@db.example:5433/people",
            "postgres://ann@db.example:5433/people?password=s3cret&sslmode=require",
            "postgresql://ann:s3cret@db.example:5433/people?connect_timeout=3",
        ] {
            let endpoint = Endpoint::parse(url, None).unwrap();
            assert_eq!(endpoint.to_string(), "postgres://ann@db.example:5433/people");
            assert!(!format!("{endpoint:?}").contains("s3cret"));
            assert_eq!(endpoint.config.get_password(), Some(&b"s3cret"[..]));
        }
        // A password that should have been encoded is torn apart, and its parts are no better known.
        let torn =
            ["ann:s3cret?x@db/people", "ann:s3cret/x@db/people", "a:s3cret@db:x/p", "ann@db/p?s3cret", "a:%s3cret@d/p"];
        for url in torn.map(|rest| format!("postgres://{rest}")) {
            let told = match Endpoint::parse(&url, None) {
                Ok(endpoint) => endpoint.to_string(),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("s3cret"), "{told}");
        }
        assert!(Endpoint::parse("postgres://a:s3cret@db:x/p", None).is_err());
    }

    #[test]
    fn a_password_beside_the_url_holds_where_the_url_has_none() {
        let password = |url| Endpoint::parse(url, Some("beside")).unwrap().config.get_password().map(<[u8]>::to_vec);
        assert_eq!(password("postgres://ann@db/people").unwrap(), b"beside");
        assert_eq!(password("postgres://ann:within@db/people").unwrap(), b"within");
    }

    #[test]
    fn encryption_is_as_asked_for() {
        let mode = |query: &str| {
            Endpoint::parse(&format!("postgres://db/people?{query}"), None).map(|end| end.config.get_ssl_mode())
        };
        assert_eq!(mode("").unwrap(), SslMode::Prefer);
        assert_eq!(mode("sslmode=disable").unwrap(), SslMode::Disable);
        for proven in ["require", "verify-ca", "verify-full"] {
            assert_eq!(mode(&format!("sslmode={proven}")).unwrap(), SslMode::Require);
        }
        assert!(mode("sslmode=maybe").unwrap_err().to_string().contains("verify-full"));
        assert!(mode("sslrootcert=/nowhere/a%20b.pem").unwrap_err().to_string().contains("/nowhere/a b.pem"));
        assert!(mode("sslrootcert=%z").is_err() && Endpoint::parse("postgres:///people", None).is_err());
    }
}
