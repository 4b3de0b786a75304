//! `packaging/haproxy-route.cfg` and `nginx-route.conf`, before two servers of which each says who it is. They run where
//! haproxy and nginx are installed; `scripts/test` tells where they are not.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::client;
use crate::common::upstream::Upstream;

const ACCOUNT: &str = "3b4563ea9f44c060cb5464e76772d7e3";
const OTHER: &str = "849e9b7d4d7c707f6e7e814449871de2";

/// The paths below an account that are ours, and some that are not.
const OURS: [&str; 10] = [
    "/groups",
    "/groups/",
    "/groups/g",
    "/groups/g?paginate=false",
    "/groups/g/rings",
    "/groups/g/used_by",
    "/groups/_deleted",
    "/groups/g/restore",
    "/users/u/groups",
    "/users/u/groups/g",
];
const THEIRS: [&str; 9] = [
    "",
    "/users",
    "/devices/groups-of-mine",
    "/configs/groups",
    "/groups/g/more/x",
    "/grouped",
    "/callflows?filter=/groups",
    "/media/m/raw",
    "/users/u/x/y/groups",
];

/// Something that runs until this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A configuration of `packaging/` with addresses of this machine in it.
fn configured(name: &str, port: u16, groups: &str, crossbar: SocketAddr, edits: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    let mut text = fs::read_to_string(file).unwrap();
    let addresses = [
        ("bind :8000", format!("bind 127.0.0.1:{port}")),
        ("listen 8000", format!("listen 127.0.0.1:{port}")),
        ("groups.example.com:8000", groups.to_owned()),
        ("crossbar.example.com:8000", crossbar.to_string()),
    ];
    for (from, to) in addresses {
        text = text.replace(from, &to);
    }
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn haproxy(folder: &Path, groups: &str, crossbar: SocketAddr, edits: &[(&str, &str)]) -> (Running, SocketAddr) {
    let port = free_port();
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configured("haproxy-route.cfg", port, groups, crossbar, edits)).unwrap();
    start(Command::new("haproxy").arg("-db").arg("-f").arg(file), port)
}

fn nginx(folder: &Path, groups: &str, crossbar: SocketAddr, edits: &[(&str, &str)]) -> (Running, SocketAddr) {
    let port = free_port();
    let route = configured("nginx-route.conf", port, groups, crossbar, edits);
    let folder_of = folder.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder_of}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder_of}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{route}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text).unwrap();
    start(Command::new("nginx").arg("-c").arg(file), port)
}

fn start(command: &mut Command, port: u16) -> (Running, SocketAddr) {
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    (running, address)
}

fn says(name: &'static str) -> Upstream {
    Upstream::start(move |asked, line| {
        line.body(asked, |_| {})?;
        let body = if asked.method == "HEAD" { "" } else { name };
        line.answer("200 OK", "", body)
    })
}

type Start = fn(&Path, &str, SocketAddr, &[(&str, &str)]) -> (Running, SocketAddr);

fn routes(start: Start, one_account: &[(&str, &str)]) {
    let (groups, crossbar) = (says("groups"), says("crossbar"));
    let ask = |address: SocketAddr, path: &str| {
        let headers = [("X-Forwarded-For", "203.0.113.9")];
        client::send(address, "GET", path, &headers, None).unwrap().text()
    };
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = start(folder.path(), &groups.address.to_string(), crossbar.address, &[]);
    for prefix in [format!("/v2/accounts/{ACCOUNT}"), "/v1/account".to_owned()] {
        for path in OURS {
            assert_eq!(ask(address, &format!("{prefix}{path}")), "groups", "{prefix}{path}");
        }
        for path in THEIRS {
            assert_eq!(ask(address, &format!("{prefix}{path}")), "crossbar", "{prefix}{path}");
        }
    }
    for path in ["/v2/schemas/groups", "/v2/user_auth", "/x", "/v2/about"] {
        assert_eq!(ask(address, path), "crossbar", "{path}");
    }
    let path = format!("/v2/accounts/{ACCOUNT}/groups/a%20b?filter_name=%zz&x");
    assert_eq!(ask(address, &path), "groups");
    for asked in [groups.asked().pop().unwrap(), crossbar.asked().pop().unwrap()] {
        assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(asked.header("host"), Some("localhost"));
    }
    assert_eq!(groups.asked().pop().unwrap().target, path, "as it came");

    // one account first
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("moved-accounts"), format!("{ACCOUNT}\n")).unwrap();
    let list = folder.path().join("moved-accounts").display().to_string();
    let edits: Vec<(&str, &str)> =
        one_account.iter().map(|(from, to)| (*from, if *to == "LIST" { &list } else { *to })).collect();
    let (_running, address) = start(folder.path(), &groups.address.to_string(), crossbar.address, &edits);
    assert_eq!(ask(address, &format!("/v2/accounts/{ACCOUNT}/users/u/groups")), "groups");
    assert_eq!(ask(address, &format!("/v2/accounts/{ACCOUNT}/users")), "crossbar");
    assert_eq!(ask(address, &format!("/v2/accounts/{OTHER}/users/u/groups")), "crossbar");
    assert_eq!(ask(address, "/v2/account/groups"), "crossbar");

    // while ours is away, groups go where everything goes
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = start(folder.path(), "127.0.0.1:1", crossbar.address, &[]);
    let begun = Instant::now();
    while ask(address, &format!("/v2/accounts/{ACCOUNT}/groups")) != "crossbar" {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn haproxy_sends_groups_here_and_the_rest_to_crossbar() {
    if is_installed("haproxy") {
        routes(
            haproxy,
            &[
                ("    #acl is_moved", "    acl is_moved"),
                (
                    "    #use_backend groups if is_groups is_moved\n    use_backend groups if is_groups\n",
                    "    use_backend groups if is_groups is_moved\n",
                ),
                ("/etc/haproxy/moved-accounts", "LIST"),
            ],
        );
    }
}

#[test]
fn nginx_sends_groups_here_and_the_rest_to_crossbar() {
    if is_installed("nginx") {
        routes(
            nginx,
            &[
                ("    default groups;\n    #default crossbar;\n", "    default crossbar;\n"),
                (&format!("    #{ACCOUNT} groups"), &format!("    {ACCOUNT} groups")),
            ],
        );
    }
}
