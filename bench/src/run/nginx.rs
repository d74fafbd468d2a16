//! Runs nginx as a proxy in front of another nginx, for comparison with external calls.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run::peers::{Peer, free_address};
use crate::run::settings::Settings;

/// The folders in which the bench looks for nginx after those in the user's `PATH`.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// The maximum number of connections of a worker. It exceeds twice the largest number of clients,
/// because each client also has a connection behind the proxy.
const WORKER_CONNECTIONS: usize = 4096;
/// The number of requests after which nginx closes a connection. It is so large that nginx, like
/// Nightcore, keeps a connection for a whole run.
const REQUESTS_OF_A_CONNECTION: u64 = 1_000_000_000;

/// A proxy and the server behind it, each with one worker process. Dropping this value ends both.
#[derive(Debug)]
pub struct Nginx {
    proxy: Peer,
    upstream: Peer,
}

impl Nginx {
    /// Starts both servers. If nginx is not installed, prints a message and returns `None`.
    pub fn start(settings: &Settings) -> Result<Option<Nginx>> {
        let Some(program) = find() else {
            eprintln!("skipped: nginx, as it is not installed (the package nginx-light or nginx)");
            return Ok(None);
        };
        let upstream = start_one(settings, &program, "nginx_upstream", |address| {
            format!("server {{ listen {address}; location / {{ return 200; }} }}")
        })?;
        let next = upstream.address();
        let proxy = start_one(settings, &program, "nginx", |address| {
            format!(
                "upstream next {{ server {next}; keepalive {WORKER_CONNECTIONS}; \
                 keepalive_requests {REQUESTS_OF_A_CONNECTION}; }}\n\
                 server {{ listen {address}; location / {{ proxy_pass http://next; \
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}"
            )
        })?;
        Ok(Some(Nginx { proxy, upstream }))
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// Returns the root processes. They and their descendants do all work of both servers.
    pub fn roots(&self) -> [i32; 2] {
        [self.proxy.pid(), self.upstream.pid()]
    }

    /// Ends both servers.
    pub fn stop(self) -> Result<()> {
        self.proxy.stop()?;
        self.upstream.stop()
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from)).collect();
    folders.into_iter().map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

fn start_one(
    settings: &Settings,
    program: &Path,
    name: &'static str,
    servers: impl FnOnce(SocketAddr) -> String,
) -> Result<Peer> {
    let address = free_address()?;
    let folder = settings.work_dir.join("peers").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let text = config_text(nix::unistd::geteuid().is_root(), &servers(address));
    fs::write(folder.join("nginx.conf"), text).context("cannot write nginx.conf")?;
    let folder = folder.to_str().context("the path of the bench is not UTF-8")?;
    let program = program.to_str().context("the path of nginx is not UTF-8")?;
    // All paths in the configuration are relative to the folder.
    let command = [program, "-p", folder, "-c", "nginx.conf", "-e", "error.log"].map(str::to_owned);
    Peer::start_at(settings, name, &command, address)
}

/// Returns the configuration. nginx writes only to its own folder, and its workers run as the user
/// that started it.
fn config_text(is_root: bool, servers: &str) -> String {
    let user = if is_root { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.log;\n\
         events {{ worker_connections {WORKER_CONNECTIONS}; }}\n\
         http {{\naccess_log off;\nkeepalive_requests {REQUESTS_OF_A_CONNECTION};\n\
         keepalive_timeout 1h;\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n{servers}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_stay_the_user_that_started_it() {
        assert!(config_text(true, "server {}").starts_with("user root;\n"));
        assert!(config_text(false, "server {}").starts_with("daemon off;\n"));
    }
}
