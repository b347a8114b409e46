//! Drives chromium by its DevTools protocol over two pipes: no driver program, no socket, no port.
//!
//! With `--remote-debugging-pipe`, chromium reads commands from file descriptor 3 and writes replies and events to 4,
//! each a JSON object with a zero byte after it. A shell puts our pipes there.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// Browsers are heavy: one at a time.
static TURN: Mutex<()> = Mutex::new(());

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
];

/// A browser with one page open.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    replies: Receiver<Value>,
    session: String,
    last: u64,
    /// Everything that chromium told without being asked.
    pub(crate) events: Vec<Value>,
    pub(crate) files: TempDir,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

fn find() -> Option<String> {
    let works = |name: &&String| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    let own = std::env::var("NCF_PIPE_CHROMIUM").ok();
    let names: Vec<String> = own.into_iter().chain(NAMES.map(str::to_owned)).collect();
    names.iter().find(works).cloned()
}

impl Browser {
    /// Starts chromium, or says that there is none. With `NCF_PIPE_BROWSER=required` that is a failure.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = find() else {
            let required = std::env::var("NCF_PIPE_BROWSER").is_ok_and(|value| value == "required");
            assert!(!required, "NCF_PIPE_BROWSER=required, but there is no chromium");
            #[allow(clippy::explicit_write, reason = "a test that passes keeps what `eprintln!` says to itself")]
            writeln!(std::io::stderr(), "skipped: no chromium").unwrap();
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::new().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#, &program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                message.pop();
                if serde_json::from_slice(&message).is_ok_and(|value| sender.send(value).is_err()) {
                    break;
                }
                message.clear();
            }
        });
        let files = TempDir::new().unwrap();
        let (session, events) = (String::new(), Vec::new());
        let mut browser =
            Self { child, commands, replies, session, last: 0, events, files, _profile: profile, _turn: turn };
        let target = browser.send("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.send("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.send(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        Some(browser)
    }

    fn next(&mut self, what: &str) -> Value {
        self.replies.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("chromium did not answer {what}"))
    }

    /// Sends a command and returns its result.
    #[allow(clippy::needless_pass_by_value, reason = "parameters are written where they are sent")]
    pub(crate) fn send(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let reply = self.next(method);
            if reply["id"] == self.last {
                assert!(reply["error"].is_null(), "{method}: {}", reply["error"]);
                return reply["result"].clone();
            }
            self.events.push(reply);
        }
    }

    /// Opens `html` as a file and waits until it is loaded.
    pub(crate) fn open(&mut self, html: &str) {
        let path = self.files.path().join("report.html");
        std::fs::write(&path, html).unwrap();
        self.events.clear();
        self.send("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next("Page.navigate");
            self.events.push(event);
        }
    }

    /// The value of a JavaScript expression; promises are awaited.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let reply = self.send("Runtime.evaluate", parameters);
        assert!(reply["exceptionDetails"].is_null(), "{expression}: {}", reply["exceptionDetails"]);
        reply["result"]["value"].clone()
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let mobile = width < 500;
        self.send(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": if mobile { 2 } else { 1 }, "mobile": mobile}),
        );
        self.send("Emulation.setTouchEmulationEnabled", json!({"enabled": mobile}));
    }

    /// Sets what the reader's system prefers, for example `dark`, and the medium, for example `print`.
    pub(crate) fn media(&mut self, medium: &str, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.send("Emulation.setEmulatedMedia", json!({"media": medium, "features": features}));
    }

    /// Presses and releases a key that has no letter, or types the letters of `key`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            _ => {
                self.send("Input.insertText", json!({"text": key}));
                return;
            }
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let parameters =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.send("Input.dispatchKeyEvent", parameters);
        }
    }

    /// The middle of the first element that `selector` finds, after scrolling it into view.
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{block: 'center', inline: 'center'}});
               const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    pub(crate) fn hover(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.send("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y}));
    }

    pub(crate) fn click(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let parameters = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.send("Input.dispatchMouseEvent", parameters);
        }
    }

    pub(crate) fn tap(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.send("Input.dispatchTouchEvent", json!({"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}));
        self.send("Input.dispatchTouchEvent", json!({"type": "touchEnd", "touchPoints": []}));
    }

    /// Writes a picture of the window, or of the whole page, where `NCF_PIPE_SHOTS` names a directory.
    pub(crate) fn shot(&mut self, name: &str, whole: bool) {
        let Ok(directory) = std::env::var("NCF_PIPE_SHOTS") else { return };
        let reply = self.send("Page.captureScreenshot", json!({"captureBeyondViewport": whole}));
        let picture = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, reply["data"].as_str().unwrap());
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), picture.unwrap()).unwrap();
    }

    /// What went wrong by itself: errors and warnings of the console, exceptions, policy violations.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.eval("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))");
        let is_complaint = |event: &&Value| {
            let method = event["method"].as_str();
            matches!(method, Some("Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled"))
        };
        self.events.iter().filter(is_complaint).map(Value::to_string).collect()
    }

    /// What the page asked for besides itself.
    pub(crate) fn requests(&self) -> Vec<String> {
        let asked = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = asked.map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned());
        urls.filter(|url| !(url.starts_with("file://") && url.split('#').next().unwrap().ends_with("/report.html")))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell has become chromium itself, so this ends the browser and not only its parent.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
