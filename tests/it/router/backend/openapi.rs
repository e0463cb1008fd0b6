//! `GET /openapi.json`: that it is what the server does. `make openapi` goes into the values.

use std::collections::BTreeSet;

use relaybox::protocol::query::Query;
use serde_json::{Value, json};

use super::Service;
use crate::backend::message;
use crate::support::PROJECT_TOKEN;

const METHODS: [&str; 6] = ["get", "post", "delete", "put", "patch", "head"];

async fn document(server: &Service) -> Value {
    let answer = server.get("/openapi.json", None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test]
async fn it_has_the_paths_and_methods_that_the_server_has() {
    let server = Service::start();
    let document = document(&server).await;
    let paths = document["paths"].as_object().unwrap();
    let names: BTreeSet<_> = paths.keys().map(String::as_str).collect();
    for path in [
        "/ws",
        "/message-log",
        "/messages",
        "/tokens",
        "/presence",
        "/healthz",
        "/readyz",
        "/openapi.json",
    ] {
        assert!(names.contains(path), "{path} is not described");
    }
    for (path, item) in paths {
        let item = item.as_object().unwrap();
        let mut described: BTreeSet<_> = item.keys().map(|name| name.to_uppercase()).collect();
        // A GET without its body: HTTP has it everywhere (RFC 9110, 9.3.2).
        if described.contains("GET") {
            described.insert("HEAD".into());
        }
        for method in METHODS.map(str::to_uppercase) {
            let answer = server.request(&method, path, &[]).await;
            if described.contains(&method) {
                assert!(![404, 405].contains(&answer.status), "{method} {path}");
                continue;
            }
            assert_eq!(answer.status, 405, "{method} {path} is not described");
            let allow = answer.header("allow").split(',').map(str::trim);
            let allow: BTreeSet<_> = allow.map(str::to_owned).collect();
            assert_eq!(allow, described, "{path}");
        }
    }
}

/// Else a refusal would tell where it stands alone, as of a name that nobody knows.
#[tokio::test]
async fn every_parameter_is_one_that_a_refusal_names() {
    let server = Service::start();
    let document = document(&server).await;
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_query = parameters.filter(|parameter| parameter["in"] == "query");
            names.extend(in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()));
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let refused = Query::parse(&format!("{name}=%"))
            .err()
            .unwrap()
            .to_string();
        assert!(refused.starts_with(&format!("`{name}`")), "{refused}");
    }
}

/// All values of this key, wherever they are.
fn values<'a>(json: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| values(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, key, found)),
        _ => {}
    }
}

#[tokio::test]
async fn it_is_whole_and_says_what_differs_from_server_to_server() {
    let settings = "types = [7]\ncontent_bytes_max = \"2KiB\"\nhistory_open = true\n";
    let server = Service::with(settings);
    let document = document(&server).await;
    let mut references = Vec::new();
    values(&document, "$ref", &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["MessageType"]["enum"],
        json!([7, 10, 20, 30, 40, 100])
    );
    let said = schemas["Content"]["description"].as_str().unwrap();
    assert!(said.contains("2048"), "{said}");
    let security = &document["paths"]["/message-log"]["get"]["security"];
    assert!(
        security.as_array().unwrap().contains(&json!({})),
        "{security}"
    );
    let mut ids = Vec::new();
    values(&document, "operationId", &mut ids);
    let different: BTreeSet<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(different.len(), ids.len());
}

#[tokio::test]
async fn its_examples_are_accepted() {
    let server = Service::start();
    let document = document(&server).await;
    let schemas = &document["components"]["schemas"];
    for (name, target) in [
        ("MessageToOne", "/messages"),
        ("MessageToMany", "/messages"),
        ("TokenBody", "/tokens"),
    ] {
        let mut examples = Vec::new();
        values(&schemas[name], "examples", &mut examples);
        let example = examples.iter().find_map(|list| list[0].as_object());
        let example = Value::Object(example.unwrap().clone());
        let answer = server.post(target, PROJECT_TOKEN, &example).await;
        assert_eq!(answer.status, 201, "{example}: {}", answer.body);
        if let Some(token) = answer.json()["token"].as_str() {
            server.secret(token);
        }
    }
}

/// Names of properties and those that are required, of an object put together of others.
fn properties(
    document: &Value,
    name: &str,
    all: &mut BTreeSet<String>,
    required: &mut BTreeSet<String>,
) {
    let schema = &document["components"]["schemas"][name];
    for part in schema["allOf"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([schema])
    {
        if let Some(reference) = part["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap();
            properties(document, name, all, required);
        }
        let fields = part["properties"].as_object().into_iter().flatten();
        all.extend(fields.map(|(name, _)| name.clone()));
        let names = part["required"].as_array().into_iter().flatten();
        required.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn its_bodies_have_the_fields_that_the_server_reads() {
    let server = Service::start();
    let document = document(&server).await;
    let wanted = json!({"domain": "demo", "id": "u1", "ttl": 60, "name": "A", "caps": []});
    let to_many = json!({"toId": null, "toIds": ["a"], "toResource": "web", "clientMsgId": "c"});
    let to_one = json!({"toResource": "web", "clientMsgId": "d"});
    for (name, target, body) in [
        ("MessageToOne", "/messages", message(to_one)),
        ("MessageToMany", "/messages", message(to_many)),
        ("TokenBody", "/tokens", wanted),
    ] {
        let (mut all, mut required) = (BTreeSet::new(), BTreeSet::new());
        properties(&document, name, &mut all, &mut required);
        let full = body.as_object().unwrap();
        let given: BTreeSet<_> = full.keys().cloned().collect();
        assert_eq!(all, given, "{name}");
        for field in &all {
            let mut without = full.clone();
            without.remove(field);
            let answer = server.post(target, PROJECT_TOKEN, json!(without)).await;
            let refused = answer.status == 400;
            assert_eq!(
                refused,
                required.contains(field),
                "{name} {field}: {}",
                answer.body
            );
            // A field that is known may not stand twice.
            let twice = body
                .to_string()
                .replacen('{', &format!("{{\"{field}\":1,"), 1);
            let answer = server.post(target, PROJECT_TOKEN, twice).await;
            assert!(
                answer.problem(400).contains("more than once"),
                "{name} {field}"
            );
        }
    }
}
