//! `GET /openapi.json`: the description of all endpoints, generated from the handlers and their
//! types.
//!
//! Paths come with their routes; refusals common to several endpoints are added by cause. Never
//! changes while the server runs.

#[allow(dead_code, reason = "of these types only the schemas are used")]
pub(super) mod schemas;

use axum::Extension;
use axum::body::Bytes;
use axum::http::{HeaderName, header};
use utoipa::OpenApi as _;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Server};

use crate::http::openapi::schemas::{PageNumber, PageOrder, PageSize, Receipts, Token};
use crate::http::problem::{MEDIA_TYPE, ProblemBody};
use crate::protocol::client_frame::FrameRules;
use crate::state::Settings;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "relaybox", description = "An instant-message server: what its HTTP endpoints take and answer"),
    // Those after `ProblemBody` are referenced by parameters only.
    components(schemas(ProblemBody, PageNumber, PageSize, PageOrder, Receipts, Token)),
    tags(
        (name = "clients", description = "For apps and browsers"),
        (name = "history", description = "What a mailbox holds"),
        (name = "backend", description = "For the backend of a project, by project token"),
        (name = "operating", description = "For operators and their tools"),
    ),
)]
struct Base;

/// The base URL, relative to the document: a proxy may add a prefix.
const HERE: &str = ".";

/// The same without a prefix, for tools that compare server URLs as text.
const ROOT: &str = "/";

/// The serialized document.
#[derive(Clone)]
pub(super) struct Document(Bytes);

/// Describes all endpoints.
///
/// This document (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operating",
    responses((status = 200, description = "The document", body = utoipa::openapi::Object)),
)]
pub(super) async fn json(
    Extension(Document(text)): Extension<Document>,
) -> ([(HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], text)
}

/// The document without routes.
pub(super) fn base() -> OpenApi {
    let mut document = Base::openapi();
    document.servers = Some(vec![Server::new(HERE), Server::new(ROOT)]);
    let components = document.components.get_or_insert_default();
    let bearer = |says| {
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(says))
    };
    let project = bearer("A project token: acts as any user of its domain");
    let user = bearer("A project token, or a user token (JWT) for what concerns its user");
    let query = ApiKeyValue::with_description(
        "token",
        "The same token in the query; better kept out of URLs",
    );
    for (name, scheme) in [
        ("project", SecurityScheme::Http(project.build())),
        ("user", SecurityScheme::Http(user.build())),
        ("token", SecurityScheme::ApiKey(ApiKey::Query(query))),
    ] {
        components.add_security_scheme(name, scheme);
    }
    document
}

/// The complete document, with common refusals and this server's rules.
pub(super) fn finish(mut document: OpenApi, settings: &Settings) -> Document {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().filter_map(Option::as_mut) {
            add_refusals(operation);
        }
    }
    let history = document.paths.paths.get_mut("/message-log");
    let listing = history.and_then(|item| item.get.as_mut());
    if let Some(security) = listing.and_then(|listing| listing.security.as_mut())
        && settings.history_open.is_some()
    {
        security.push(SecurityRequirement::default());
    }
    insert_rules(&mut document, &settings.rules);
    let text = document
        .to_json()
        .expect("a description of plain values is JSON");
    Document(text.into())
}

/// Status, description, and response header of a refusal.
type Refusal = (u16, &'static str, Option<(&'static str, Type)>);

const BAD_REQUEST: Refusal = (400, "A parameter or a field is missing or wrong", None);
const OF_BODIES: [Refusal; 3] = [
    (408, "The body took too long", None),
    (413, "The body or the content is too large", None),
    (415, "The body is not JSON", None),
];
const OF_TOKENS: [Refusal; 3] = [
    (
        401,
        "No token, or none that is known there",
        Some(("WWW-Authenticate", Type::String)),
    ),
    (403, "The token does not allow this", None),
    (
        429,
        "Too many requests",
        Some(("Retry-After", Type::Integer)),
    ),
];
const UNAVAILABLE: Refusal = (
    503,
    "The storage does not answer",
    Some(("Retry-After", Type::Integer)),
);

fn add_refusals(operation: &mut Operation) {
    let mut refusals = Vec::new();
    if operation.parameters.is_some() || operation.request_body.is_some() {
        refusals.push(BAD_REQUEST);
    }
    if operation.request_body.is_some() {
        refusals.extend(OF_BODIES);
    }
    if operation.security.is_some() {
        refusals.extend(OF_TOKENS);
        refusals.push(UNAVAILABLE);
    }
    let responses = &mut operation.responses.responses;
    for refusal in refusals {
        let status = refusal.0.to_string();
        responses
            .entry(status)
            .or_insert_with(|| RefOr::T(response(refusal)));
    }
}

fn response((_, description, head): Refusal) -> Response {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content(MEDIA_TYPE, problem);
    if let Some((name, kind)) = head {
        let schema = ObjectBuilder::new().schema_type(kind);
        response = response.header(name, HeaderBuilder::new().schema(Some(schema)).build());
    }
    response.build()
}

/// Inserts the per-server values: message types, and the size limit of the content.
fn insert_rules(document: &mut OpenApi, rules: &FrameRules) {
    let components = document.components.get_or_insert_default();
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::Object(schema)) = schema else {
            continue;
        };
        if name == "MessageType" {
            let types = rules.types.iter().map(|kind| kind.0.into());
            schema.enum_values = Some(types.collect());
        } else if name == "Content" {
            let (bytes_max, depth_max) = (rules.content_bytes_max, rules.content_depth_max);
            schema.description = Some(format!(
                "At most {bytes_max} bytes of JSON text, nested at most {depth_max} levels deep, without unpaired surrogates"
            ));
        }
    }
}
