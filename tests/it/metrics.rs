//! What is counted: the table of `docs/operating.md` is what `/metrics` gives, and the alerts and the dashboard of
//! `packaging/` ask for nothing else. Where Prometheus is there, they are asked of it, and it of the service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;
use serde_json::Value;

use crate::common::program::run;
use crate::common::upstream::Upstream;
use crate::common::{Kind, NO_COUCHDB, TestAccount, TestApp, TestStore, block_on, client};
use crossbar_groups::store::couch::{Couch, CouchOptions};

/// What Prometheus itself puts to each sample.
const PUT_BY_PROMETHEUS: [&str; 2] = ["job", "instance"];

fn at_root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(at_root(file)).unwrap()
}

/// Services that between them have all that is counted.
struct Services {
    _store: TestStore,
    account: TestAccount,
    apps: [TestApp; 3],
}

impl Services {
    fn start() -> Self {
        let store = TestStore::new(Kind::Embedded);
        let account = store.account();
        let nowhere = Couch::new(&[NO_COUCHDB], &CouchOptions::default()).unwrap();
        let upstream = Upstream::start(|_, line| line.answer("200 OK", "", "{}"));
        let apps = [
            TestApp::start(store.store(), &["--max-url", "300"]),
            TestApp::start(Arc::new(nowhere), &["--cache", "follow"]),
            TestApp::start(store.store(), &["--upstream", &upstream.url(), "--shadow", "1"]),
        ];
        let services = Self { _store: store, account, apps };
        services.ask();
        services
    }

    /// Asks each for something, and the first for too much.
    fn ask(&self) {
        for app in &self.apps {
            app.get(&self.account.path("groups"), &self.account.token);
        }
        assert_eq!(self.apps[0].get(&self.account.path(&"x".repeat(300)), "").status, 414);
    }

    fn texts(&self) -> [String; 3] {
        self.apps.each_ref().map(|app| client::send(app.admin_address, "GET", "/metrics", &[], None).unwrap().text())
    }

    /// Each metric's kind and labels.
    fn metrics(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let mut metrics: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
        let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
        for text in self.texts() {
            let mut current = String::new();
            for line in text.lines() {
                if let Some(described) = line.strip_prefix("# TYPE ") {
                    let (name, kind) = described.split_once(' ').unwrap();
                    current = name.to_owned();
                    metrics.entry(current.clone()).or_default().0 = kind.to_owned();
                } else if !line.starts_with('#') {
                    assert!(line.starts_with(&current), "{line}");
                    let labels = label.captures_iter(line).map(|found| found[1].to_owned());
                    metrics.get_mut(&current).unwrap().1.extend(labels.filter(|label| label != "le"));
                }
            }
        }
        metrics
    }
}

/// The expressions of the alerts and of the dashboard's panels, as Prometheus is asked.
fn expressions() -> Vec<(String, String)> {
    let rules = read("packaging/prometheus/alerts.yml");
    let rule = Regex::new(r"- alert: (\w+)\n +expr:([^\n]*(?:\n {10,}[^\n]+)*)").unwrap();
    let mut expressions: Vec<_> = rule
        .captures_iter(&rules)
        .map(|found| (found[1].to_owned(), found[2].trim().trim_start_matches('|').to_owned()))
        .collect();
    assert_eq!(expressions.len(), rules.matches("- alert:").count());
    expressions.extend(panels());
    expressions
}

fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/dashboard.json")).unwrap();
    let mut panels = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            let expression = expression.replace("$job", ".*").replace("$instance", ".*");
            assert!(!expression.contains('$'), "{expression}");
            panels.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    assert!(panels.len() > 20);
    panels
}

#[test]
fn the_table_of_metrics_is_what_is_counted() {
    let documented = read("docs/operating.md");
    let row = Regex::new(r"(?m)^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\| [^|]{10,} \|$").unwrap();
    let label = Regex::new("`([a-z_]+)`").unwrap();
    let documented: BTreeMap<_, _> = row
        .captures_iter(&documented)
        .map(|found| {
            let labels: BTreeSet<_> = label.captures_iter(&found[3]).map(|found| found[1].to_owned()).collect();
            (found[1].to_owned(), (found[2].to_owned(), labels))
        })
        // what the system tells, it tells where there is a /proc
        .filter(|(name, _)| cfg!(target_os = "linux") || !name.starts_with("process_") || name.contains("start_time"))
        .collect();
    let counted = Services::start().metrics();
    for (name, metric) in &counted {
        assert_eq!(documented.get(name), Some(metric), "{name} in docs/operating.md");
    }
    for name in documented.keys() {
        assert!(counted.contains_key(name), "{name} is documented, and not counted");
    }
}

#[test]
fn alerts_and_the_dashboard_ask_for_what_is_counted() {
    let counted = Services::start().metrics();
    let all: BTreeSet<&str> = counted.values().flat_map(|(_, labels)| labels).map(String::as_str).collect();
    let selector = Regex::new(r"\b((?:crossbar|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r"([a-z_]+) *(?:=~|!~|!=|=)").unwrap();
    let grouping = Regex::new(r"by *\(([^)]*)\)").unwrap();
    for (title, expression) in expressions() {
        let mut found = 0;
        for selected in selector.captures_iter(&expression) {
            found += 1;
            let name = &selected[1];
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = histogram.filter(|family| counted.get(*family).is_some_and(|(kind, _)| kind == "histogram"));
            let none = BTreeSet::new();
            let labels = match counted.get(family.unwrap_or(name)) {
                Some((_, labels)) => labels,
                None if name == "up" => &none,
                None => panic!("{title}: there is no {name}"),
            };
            let matchers = selected.get(2).map_or("", |matchers| matchers.as_str());
            for label in matcher.captures_iter(matchers) {
                let is_known = labels.contains(&label[1]) || PUT_BY_PROMETHEUS.contains(&&label[1]);
                assert!(is_known, "{title}: {name} has no label {}", &label[1]);
            }
        }
        assert!(found > 0, "{title}: {expression}");
        for labels in grouping.captures_iter(&expression) {
            for label in labels[1].split(',').map(str::trim) {
                let is_known = all.contains(label) || label == "le" || PUT_BY_PROMETHEUS.contains(&label);
                assert!(is_known, "{title}: nothing has a label {label}");
            }
        }
    }
}

#[test]
fn every_alert_is_explained() {
    let rules = read("packaging/prometheus/alerts.yml");
    let documented = read("docs/operating.md");
    let named = Regex::new(r"CrossbarGroups[A-Z]\w+").unwrap();
    let alerts: BTreeSet<&str> = named.find_iter(&rules).map(|found| found.as_str()).collect();
    let explained: BTreeSet<&str> = named.find_iter(&documented).map(|found| found.as_str()).collect();
    assert_eq!(alerts, explained);
    let tried = read("packaging/prometheus/alerts_test.yml");
    assert!(alerts.iter().all(|alert| tried.contains(&format!("alertname=\"{alert}\""))));
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_told_of_as_it_is() {
    let services = Services::start();
    let told = services.apps[0].metrics();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident: f64 = resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0;
    let ratio = told["process_resident_memory_bytes"] / resident;
    assert!((0.3..3.0).contains(&ratio), "{ratio}");
    assert!(told["process_open_fds"] > 5.0 && told["process_open_fds"] < told["process_max_fds"]);
    assert!(told["process_threads"] >= 2.0);
    let used = told["process_cpu_seconds_total"];
    let busy = Instant::now();
    while busy.elapsed() < Duration::from_millis(300) {
        std::hint::spin_loop();
    }
    assert!(services.apps[0].metrics()["process_cpu_seconds_total"] > used);
}

#[test]
fn the_version_tells_the_commit() {
    let told = String::from_utf8(run(&["--version"]).stdout).unwrap();
    let commit =
        Regex::new(r"^crossbar-groups \d+\.\d+\.\d+ \((\w+)\)\n$").unwrap().captures(&told).unwrap()[1].to_owned();
    let of_git = ["rev-parse", "--short=12", "HEAD"];
    if let Ok(output) = Command::new("git").args(of_git).current_dir(at_root("")).output()
        && output.status.success()
        && std::env::var_os("CROSSBAR_COMMIT").is_none()
    {
        assert_eq!(commit, String::from_utf8(output.stdout).unwrap().trim());
    }
    let build = Services::start().apps[0].metrics();
    assert!(build.keys().any(|name| name.contains(&format!("commit=\"{commit}\""))), "{commit}");
}

/// Whether Debian's package `prometheus` is there; `scripts/test` tells where it is not.
fn has_prometheus() -> bool {
    ["prometheus", "promtool"].iter().all(|program| {
        let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    })
}

fn promtool(arguments: &[&str], input: &str) {
    let mut tool = Command::new("promtool");
    tool.args(arguments).current_dir(at_root("packaging/prometheus"));
    let mut process = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "promtool {arguments:?}: {output:?}");
}

#[test]
fn promtool_finds_nothing() {
    if !has_prometheus() {
        return;
    }
    promtool(&["check", "rules", "--lint-fatal", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts_test.yml"], "");
    for text in Services::start().texts() {
        promtool(&["check", "metrics"], &text);
    }
}

/// A Prometheus that looks at services. It ends with this.
struct Prometheus {
    process: Child,
    address: std::net::SocketAddr,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn of(services: &Services) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets = services.apps.each_ref().map(|app| app.admin_address.to_string());
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{:?}]\n\
             scrape_configs: [{{job_name: crossbar-groups, static_configs: [{{targets: {targets:?}}}]}}]\n",
            at_root("packaging/prometheus/alerts.yml"),
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address, _folder: folder }
    }

    /// What its API gives; None while it does not answer.
    fn get(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.address);
        let body = block_on(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(url).send().await?.bytes().await
        });
        serde_json::from_slice(&body.ok()?).ok()
    }

    /// How many series an expression gives; None while it does not answer.
    fn series(&self, expression: &str) -> Option<usize> {
        let query = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let answer = self.get(&format!("/api/v1/query?query={query}"))?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().map(Vec::len)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn prometheus_has_an_answer_to_every_panel_and_takes_every_alert() {
    if !has_prometheus() {
        return;
    }
    let services = Services::start();
    let prometheus = Prometheus::of(&services);
    let mut panels = panels();
    let begun = Instant::now();
    while !panels.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing to show: {panels:?}");
        services.ask();
        thread::sleep(Duration::from_millis(500));
        panels.retain(|(_, expression)| prometheus.series(expression).is_none_or(|series| series == 0));
    }
    let rules = prometheus.get("/api/v1/rules").unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), read("packaging/prometheus/alerts.yml").matches("- alert:").count());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
