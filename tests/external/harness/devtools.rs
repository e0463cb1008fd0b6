//! Drives a browser over its debugging pipe (the Chrome DevTools Protocol: JSON texts, each ended by
//! a zero byte): opens pages, runs scripts in them, presses keys.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};

/// How long a browser may take to answer, on a machine that does much else.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One browser's pipe.
#[derive(Clone)]
pub struct Devtools(Arc<Mutex<Pipe>>);

struct Pipe {
    commands: ChildStdin,
    answers: mpsc::UnboundedReceiver<Value>,
    last_id: u64,
}

impl Devtools {
    pub(super) fn over(commands: ChildStdin, answers: ChildStdout) -> Self {
        let (answers_in, answers_out) = mpsc::unbounded_channel();
        // Ends with the browser, or once nobody asks any more.
        std::thread::spawn(move || {
            for text in BufReader::new(answers).split(0) {
                let Ok(text) = text else { break };
                let answer: Value = serde_json::from_slice(&text).unwrap();
                // Events have no id.
                if answer["id"].is_u64() && answers_in.send(answer).is_err() {
                    break;
                }
            }
        });
        Self(Arc::new(Mutex::new(Pipe {
            commands,
            answers: answers_out,
            last_id: 0,
        })))
    }

    async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let answer = self.try_call(session, method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The browser's answer, or the error object it gave instead.
    async fn try_call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, Value> {
        let mut pipe = self.0.lock().await;
        pipe.last_id += 1;
        let id = pipe.last_id;
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        pipe.commands
            .write_all(format!("{command}\0").as_bytes())
            .unwrap();
        let answer = tokio::time::timeout(ANSWER_WITHIN, pipe.answers.recv());
        let mut answer = answer.await.expect("the browser answers").expect("it runs");
        assert_eq!(answer["id"], id, "{answer}");
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    /// Opens a page in a window of its own.
    pub async fn open(&self, address: &str) -> Page {
        let target = json!({"url": address, "newWindow": true});
        let target = self.call(None, "Target.createTarget", target).await;
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call(None, "Target.attachToTarget", target).await;
        let page = Page {
            devtools: self.clone(),
            session: attached["sessionId"].as_str().unwrap().into(),
        };
        // Every page believes that it is the one in front.
        let enabled = json!({"enabled": true});
        page.call("Emulation.setFocusEmulationEnabled", enabled)
            .await;
        page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
            .await;
        page
    }
}

/// One page.
pub struct Page {
    devtools: Devtools,
    session: String,
}

impl Page {
    pub async fn call(&self, method: &str, params: Value) -> Value {
        self.devtools
            .call(Some(&self.session), method, params)
            .await
    }

    /// What this expression, or the promise it gives, comes to.
    pub async fn value(&self, script: &str) -> Value {
        let value = self.try_value(script).await;
        value.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_value(&self, script: &str) -> Result<Value, Value> {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let session = Some(self.session.as_str());
        let evaluate = self.devtools.try_call(session, "Runtime.evaluate", params);
        let mut answer = evaluate.await?;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{script}: {thrown}");
        Ok(answer["result"]["value"].take())
    }

    /// Waits until this expression is true. A navigation takes the page away from an
    /// evaluation that has begun: an error, then, is no answer yet.
    pub async fn until(&self, script: &str) {
        let end = Instant::now() + ANSWER_WITHIN;
        loop {
            let value = self.try_value(script).await;
            if value == Ok(Value::Bool(true)) {
                return;
            }
            if Instant::now() > end {
                let text = self.try_value("document.body.innerText").await;
                panic!("not so within {ANSWER_WITHIN:?}: {script}: {value:?}\n{text:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The text of an element, as it is seen.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("document.querySelector({}).innerText", json!(selector));
        self.value(&script).await.as_str().unwrap().to_owned()
    }

    /// Types over what a field holds; it has to be in view.
    pub async fn fill(&self, selector: &str, text: &str) {
        let script = format!(
            "{{ const field = document.querySelector({}); field.focus(); field.select(); \
               document.activeElement === field }}",
            json!(selector)
        );
        assert_eq!(self.value(&script).await, true, "{selector} is not in view");
        if text.is_empty() {
            self.press("Delete", 46, "").await;
        } else {
            self.call("Input.insertText", json!({"text": text})).await;
        }
    }

    /// Chooses a value of a `<select>`, or ticks a box.
    pub async fn choose(&self, selector: &str, value: &str) {
        let (field, value) = (json!(selector), json!(value));
        let script = format!(
            "{{ const field = document.querySelector({field}); \
               if (field.matches('select')) field.value = {value}; else field.checked = true; \
               field.dispatchEvent(new Event('change', {{bubbles: true}})); }}"
        );
        self.value(&script).await;
    }

    pub async fn enter(&self) {
        self.press("Enter", 13, "\r").await;
    }

    async fn press(&self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key,
                "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    pub async fn click(&self, selector: &str) {
        let script = format!("document.querySelector({}).click()", json!(selector));
        self.value(&script).await;
    }
}
