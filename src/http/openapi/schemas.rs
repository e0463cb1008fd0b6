//! The shapes of names, parameters, bodies and answers that are read and written as text rather than
//! through serde, for `openapi.json`.
//!
//! Nothing is ever made of the types of this module but their schemas. What the parsers take is held
//! against them by tests/it/backend/ and by `make openapi`.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::http::history::query::{SIZE_DEFAULT, SIZE_MAX};
use crate::model::{ClientMsgId, Domain, MessageType, MsgId, Resource, UserId, UserName};
use crate::protocol::login::TOKEN_BYTES_MAX;
use crate::protocol::request::{BODY_RECIPIENTS_MAX, CAP_SYSTEM, TTL_S_MAX};

/// No control characters (PROTOCOL.md section 1).
const PRINTABLE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

fn text(bytes_max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(bytes_max))
        .pattern(Some(PRINTABLE))
        .description(Some(format!("1 to {bytes_max} bytes of UTF-8")))
}

fn integer(min: u64, max: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(min))
        .maximum(Some(max))
}

fn one_of(values: [&str; 2]) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .default(values.first().map(|first| (*first).into()))
        .enum_values(Some(values))
}

/// Gives types their schemas, which others refer to by these names.
macro_rules! schemas {
    ($($type:ident = $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                RefOr::T(Schema::from($schema))
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    )*};
}

/// A user's id in a body, where an integer stands for its decimal string.
pub(crate) struct IdOrNumber;

/// Several recipients.
pub(crate) struct Recipients;

/// What a message says.
pub(crate) struct Content;

/// Milliseconds since the Unix epoch.
pub(crate) struct TimeMs;

/// Seconds that a user token lives.
pub(crate) struct Ttl;

/// What a user token may do beside sending and receiving.
pub(crate) struct Capability;

/// The number of a page.
pub(crate) struct PageNumber;

/// Most messages in an answer.
pub(crate) struct PageSize;

/// Which messages of a page come first.
pub(crate) struct PageOrder;

/// Who confirms deliveries.
pub(crate) struct Receipts;

/// The secret of a login.
pub(crate) struct Token;

schemas! {
    Domain = text(Domain::MAX_BYTES).examples(["demo"]).build();
    UserId = text(UserId::MAX_BYTES).examples(["u1"]).build();
    UserName = text(UserName::MAX_BYTES).examples(["Alice"]).build();
    Resource = text(Resource::MAX_BYTES).examples(["web"]).build();
    ClientMsgId = text(ClientMsgId::MAX_BYTES).examples(["order-17"]).build();
    Token = text(TOKEN_BYTES_MAX).build();
    MessageType = integer(0, u64::from(u32::MAX)).examples([10]).build();
    MsgId = integer(0, MsgId::MAX.0).examples([1_764_000_000_123_456_u64]).build();
    TimeMs = integer(0, MsgId::MAX.0).examples([1_764_000_000_123_u64]).build();
    Ttl = integer(1, TTL_S_MAX).examples([3600]).build();
    PageNumber = integer(1, MsgId::MAX.0).default(Some(1.into())).build();
    PageSize = integer(1, SIZE_MAX).default(Some(SIZE_DEFAULT.into())).build();
    PageOrder = one_of(["desc", "asc"]).build();
    Receipts = one_of(["auto", "manual"]).build();
    Capability = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([CAP_SYSTEM]))
        .build();
    IdOrNumber = OneOfBuilder::new()
        .item(Ref::from_schema_name("UserId"))
        .item(ObjectBuilder::new().schema_type(Type::Integer))
        .description(Some("An integer stands for its decimal string"))
        .build();
    Recipients = ArrayBuilder::new()
        .items(Ref::from_schema_name("IdOrNumber"))
        .min_items(Some(1))
        .max_items(Some(BODY_RECIPIENTS_MAX))
        .unique_items(true)
        .build();
    Content = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([
            Type::String,
            Type::Number,
            Type::Boolean,
            Type::Array,
            Type::Object,
        ]))
        .build();
}

/// A message to send: to `toId`, or to each of `toIds`.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum MessageBody {
    One(MessageToOne),
    Many(MessageToMany),
}

/// A message to one recipient.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[schema(examples(json!({"domain": "demo", "toId": "u2", "fromId": "shop", "fromName": "Shop",
    "type": 10, "content": "Your order is on its way", "clientMsgId": "order-17"})))]
pub(crate) struct MessageToOne {
    /// The recipient.
    to_id: IdOrNumber,
    #[serde(flatten)]
    message: MessageToSend,
}

/// A message to several recipients; each gets a copy.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[schema(examples(json!({"domain": "demo", "toIds": ["u2", "u3"], "fromId": "system",
    "fromName": "Shop", "type": 100, "content": {"maintenance": true}})))]
pub(crate) struct MessageToMany {
    /// The recipients, all different.
    to_ids: Recipients,
    #[serde(flatten)]
    message: MessageToSend,
}

/// A message, whoever it goes to.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MessageToSend {
    /// Whose users they are.
    domain: Domain,
    /// Only this device of each recipient gets it: now, or at its next login.
    to_resource: Option<Resource>,
    /// The sender; may be `system`.
    from_id: IdOrNumber,
    /// Its display name.
    from_name: UserName,
    /// 10 text, 20 image, 30 voice, 40 audio/video, 100 system, and what the server's settings list.
    r#type: MessageType,
    /// Any JSON value but null; its text is kept byte for byte.
    content: Content,
    /// Makes it idempotent: the same id from the same sender within 24 hours is stored once.
    client_msg_id: Option<ClientMsgId>,
}

/// A user token that is wanted.
#[derive(ToSchema)]
#[schema(as = TokenBody)]
#[schema(examples(json!({"domain": "demo", "id": "u1", "name": "Alice", "ttl": 3600})))]
pub(crate) struct TokenBody {
    /// In which domain it logs in.
    domain: Domain,
    /// The user; not `system`, which is reserved.
    id: IdOrNumber,
    /// Overrides the `name` of its logins; not `system`, which is reserved.
    name: Option<UserName>,
    /// How long it lives, in seconds.
    ttl: Ttl,
    /// `system`: may send messages of type 100.
    caps: Option<Vec<Capability>>,
}

/// A delivered message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = Message)]
pub(crate) struct MessageSchema {
    /// The sender.
    from_id: UserId,
    /// Its display name then.
    from_name: UserName,
    /// Its device; `server` where a backend sent it.
    from_resource: Resource,
    /// The recipient.
    to_id: UserId,
    /// Whose users they are.
    domain: Domain,
    /// 10 text, 20 image, 30 voice, 40 audio/video, 100 system, and what the server's settings list.
    r#type: MessageType,
    /// As it was sent, byte for byte.
    content: Content,
    /// When it was accepted, in milliseconds since the Unix epoch.
    send_at: TimeMs,
    /// Whether the recipient had no session at all when it was sent.
    offline: bool,
    /// Its id: microseconds since the Unix epoch, and the order of all messages.
    msg_id: MsgId,
}

/// A part of a mailbox's history.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = HistoryPage)]
pub(crate) struct HistoryPage {
    /// How many messages match, cursors aside.
    total: u64,
    /// The page; 0 in an answer by cursors.
    page: u64,
    /// Most messages on a page.
    size: u64,
    /// How many pages that makes.
    pages: u64,
    /// Only messages up to this id were counted and listed.
    as_of: MsgId,
    /// The messages.
    #[schema(max_items = 100)]
    list: Vec<MessageSchema>,
}

/// A user, and whose.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserParameters {
    /// Whose user it is.
    domain: Domain,
    /// The user.
    id: UserId,
}

/// A mailbox.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct MailboxParameters {
    /// Whose user it is.
    domain: Domain,
    /// The user whose mailbox it is.
    to_id: UserId,
}

/// What of a mailbox is listed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct HistoryParameters {
    /// This sender's only.
    from_id: Option<UserId>,
    /// Both directions of the conversation with this user, by cursors. Not with `fromId`, `page`
    /// or `order`.
    with: Option<UserId>,
    /// The page, from 1.
    page: Option<PageNumber>,
    /// Most messages in the answer.
    size: Option<PageSize>,
    /// Of pages: newest or oldest first.
    order: Option<PageOrder>,
    /// Pins pages: only messages up to this id are counted and listed.
    as_of: Option<MsgId>,
    /// The nearest below this id, exclusive. Not with `page` or `order`.
    before: Option<MsgId>,
    /// The nearest above this id, exclusive. Not with `page` or `order`.
    after: Option<MsgId>,
    /// Sent at this time or later, in milliseconds since the Unix epoch.
    since: Option<TimeMs>,
    /// Sent at this time or earlier, in milliseconds since the Unix epoch.
    until: Option<TimeMs>,
}

/// What is erased.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EraseParameters {
    /// Only what is below this id; without it, everything.
    before: Option<MsgId>,
}

/// A login.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LoginParameters {
    /// The user.
    id: UserId,
    /// Its display name.
    name: UserName,
    /// Whose user it is.
    domain: Domain,
    /// The device or tab: a name that it keeps.
    resource: Resource,
    /// The token, unless it comes in `Authorization: Bearer …` or as the second of the subprotocols
    /// `relaybox, <token>`.
    token: Option<Token>,
    /// Who confirms deliveries: the WebSocket library by its Pongs, or the application.
    receipts: Option<Receipts>,
    /// The last message that the client has processed.
    after: Option<MsgId>,
}
