//! The target of the measurements: nginx with one worker on its own core, answering 18 bytes from its configuration.
//!
//! One process serves several ports, so that all groups have the same target: plain HTTP/1.1, HTTP/2 in plain text, and
//! HTTPS with one certificate, one version of TLS and one cipher, so that all clients negotiate the same.
//! It also counts: completed requests are the difference of two readings of `stub_status`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{Beside, SERVER_CORE, pinned};

/// What every answer holds: 18 bytes.
pub const BODY: &str = "groundswell bench\\n";
/// The only cipher of the HTTPS port.
pub const CIPHER: &str = "TLS_AES_128_GCM_SHA256";

/// nginx, running.
pub struct Nginx {
    _process: Beside,
    pub http: SocketAddr,
    pub http2: SocketAddr,
    pub https: SocketAddr,
    status: SocketAddr,
}

impl Nginx {
    /// Starts it with its files in `folder`; ready when it answers.
    pub fn start(folder: &Path) -> Result<Self> {
        make_certificate(folder)?;
        let [http, http2, https, status] =
            [free_address()?, free_address()?, free_address()?, free_address()?];
        fs::write(folder.join("nginx.conf"), configuration(http, http2, https, status))?;
        let folder = folder.display().to_string();
        let file = format!("{folder}/nginx.conf");
        let mut command = pinned(SERVER_CORE, "nginx", &["-e", "stderr", "-p", &folder, "-c", &file]);
        let mut process = Beside(command.spawn().context("cannot start taskset and nginx")?);
        process.wait_until("nginx", || TcpStream::connect(status).is_ok())?;
        Ok(Self { _process: process, http, http2, https, status })
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.http)
    }

    pub fn url_http2(&self) -> String {
        format!("http://{}/", self.http2)
    }

    pub fn url_https(&self) -> String {
        format!("https://{}/", self.https)
    }

    /// Requests so far, this question excluded.
    pub fn requests(&self) -> Result<u64> {
        let text = self.status()?;
        requests_of(&text).with_context(|| format!("stub_status said {text:?}"))
    }

    /// Connections now, those of such questions excluded.
    pub fn connections(&self) -> Result<u32> {
        let text = self.status()?;
        let count = text
            .lines()
            .find_map(|line| line.strip_prefix("Active connections:")?.trim().parse::<u32>().ok());
        count.map(|count| count.saturating_sub(1)).with_context(|| format!("stub_status said {text:?}"))
    }

    fn status(&self) -> Result<String> {
        let text = ureq::get(format!("http://{}/", self.status)).call()?.body_mut().read_to_string()?;
        Ok(text)
    }

    /// What a client negotiates on the HTTPS port, in the words of openssl.
    pub fn negotiated(&self) -> Result<String> {
        let mut command = Command::new("openssl");
        let output = command
            .args(["s_client", "-brief", "-connect", &self.https.to_string()])
            .stdin(std::process::Stdio::null())
            .output()
            .context("cannot start openssl")?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned()
        };
        Ok(format!(
            "{} {}, {} certificate",
            field("Protocol version:"),
            field("Ciphersuite:"),
            field("Signature type:")
        ))
    }
}

/// The third number of the line below `server accepts handled requests`. The questions before it were counted too, each
/// once; what matters is the difference of two answers, from which the caller takes one.
fn requests_of(status: &str) -> Option<u64> {
    let mut lines = status.lines().skip_while(|line| !line.starts_with("server accepts"));
    lines.nth(1)?.split_whitespace().nth(2)?.parse().ok()
}

/// A port of this machine that was free a moment ago.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?)
}

fn make_certificate(folder: &Path) -> Result<()> {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder)
        .output()
        .context("cannot start openssl")?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn configuration(http: SocketAddr, http2: SocketAddr, https: SocketAddr, status: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
        worker_rlimit_nofile 20000;
        events {{ worker_connections 16000; multi_accept on; }}
        http {{
            access_log off; keepalive_timeout 1h; keepalive_requests 1000000000; default_type text/plain;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            ssl_certificate certificate.pem; ssl_certificate_key key.pem;
            ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {CIPHER};
            server {{ listen {http} backlog=4096; location / {{ return 200 '{BODY}'; }} }}
            server {{ listen {http2} http2 backlog=4096; location / {{ return 200 '{BODY}'; }} }}
            server {{ listen {https} ssl backlog=4096; location / {{ return 200 '{BODY}'; }} }}
            server {{ listen {status}; location / {{ stub_status; }} }}
        }}
        "
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_the_third_number() {
        let text =
            "Active connections: 2 \nserver accepts handled requests\n 16 16 1031 \nReading: 0 Writing: 1\n";
        assert_eq!(requests_of(text), Some(1031));
        assert_eq!(requests_of("404"), None);
    }
}
