"""What openapi.json cannot say of a valid request: such ones are not asked.

Requests that are to be refused are left as they are, but for their domain.
"""

import unicodedata

import schemathesis
from schemathesis import GenerationMode

# Of GET /message-log: an OpenAPI document cannot say that one parameter excludes another.
CONTRADICTORY = [
    ("fromId", "with"),
    ("with", "page"),
    ("with", "order"),
    ("before", "page"),
    ("before", "order"),
    ("after", "page"),
    ("after", "order"),
]

# JSON Schema counts characters, the contract bytes of UTF-8.
BYTES_MAX = {
    "domain": 253,
    "id": 128,
    "toId": 128,
    "toIds": 128,
    "fromId": 128,
    "with": 128,
    "name": 256,
    "fromName": 256,
    "resource": 64,
    "toResource": 64,
    "clientMsgId": 64,
    "token": 4096,
}


# What is made up as a parameter that the document does not have.
UNKNOWN = "x-schemathesis-unknown-property"


def as_fields(value):
    return value if isinstance(value, dict) else {}


def contradicts(query):
    return any(one in query and other in query for one, other in CONTRADICTORY)


def is_taken_after_all(case):
    """Whether what makes it a wrong one does not come through: parameters that nobody knows are ignored, and any
    domain becomes the one of the server."""
    what = getattr(getattr(case.meta, "phase", None), "data", None)
    # DELETE knows all of its own.
    is_ignored = case.method == "GET" and UNKNOWN in as_fields(case.query)
    return is_ignored or getattr(what, "parameter", None) == "domain"


def is_domain(text):
    controls = any(unicodedata.category(letter) == "Cc" for letter in text)
    return 0 < len(text.encode()) <= BYTES_MAX["domain"] and not controls


def is_askable(fields):
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and name in BYTES_MAX and len(one.encode()) > BYTES_MAX[name]:
                return False
    # 1 and "1" are the same recipient.
    several = fields.get("toIds")
    return not isinstance(several, list) or len({str(one) for one in several}) == len(several)


@schemathesis.hook
def filter_case(context, case):
    """Of what is generated."""
    if case.meta is not None and case.meta.generation.mode == GenerationMode.NEGATIVE:
        return not is_taken_after_all(case)
    query, body = as_fields(case.query), as_fields(case.body)
    if case.path == "/tokens" and "system" in (body.get("id"), body.get("name")):
        return False
    return not contradicts(query) and is_askable(query) and is_askable(body)


@schemathesis.hook
def before_add_examples(context, examples):
    """Of what is put together of the document's examples: all parameters at once."""
    examples[:] = [case for case in examples if not contradicts(as_fields(case.query))]


@schemathesis.hook
def before_call(context, case, kwargs):
    """In any other domain the token is unknown, and all ends with 401."""
    domain = as_fields(case.body).get("domain")
    if isinstance(domain, str) and is_domain(domain):
        case.body["domain"] = "demo"
