"""A problem document as a page."""

import orjson
from starlette.requests import Request
from starlette.types import Scope

from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.page import rendered
from fedelta.serve.desk.words import N_, preferred, words

# What a reader sees of problems that come from below the desk; a problem of the desk itself brings its own words.
_MEANING = {
    "not-found": N_("There is no such page."),
    "forbidden": N_("Your role does not allow this."),
    "form-refused": N_("This form is out of date. Open its page anew and send it again."),
    "too-many-requests": N_("That was too often. Wait a moment, then try again."),
    "not-ready": N_("No scores are published yet. They appear here after the first scoring run."),
    "unavailable": N_("The database does not answer just now. Try again in a moment."),
    "internal": N_("Something went wrong on our side. It is in the log of the service."),
    "cursor-expired": N_("Newer scores were published since. Begin again at the top of the list."),
    "invalid-cursor": N_("This place of the list does not exist. Begin again at the top."),
    "control-group": N_(
        "This customer is in the control group, which is never contacted, assigned or exported: "
        "what contacting achieves is measured against it."
    ),
    "opted-out": N_("This customer has opted out of being contacted."),
    "unknown-case": N_("There is no such case."),
    "case-open": N_("There is a case of this customer about the same already. Change that one."),
    "too-large": N_("That is too large."),
    "method-not-allowed": N_("There is no such page."),
}


def shown(scope: Scope, document: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers and body of the page that shows a problem document to whoever asked."""
    problem = orjson.loads(document)
    request = Request(scope)
    caller: Caller | None = scope["state"].get("caller")
    own = caller.person.language if caller is not None and caller.person is not None else None
    language = words(own or preferred(request.headers.get("accept-language", "")))
    known = _MEANING.get(problem["type"].rpartition(":")[2])
    values = {
        "root": scope.get("root_path", ""),
        "meaning": language.gettext(known) if known else problem["detail"],
        "problem": problem,
    }
    page = rendered(request, "problem.html.jinja", language, problem["status"], values)
    return [each for each in page.raw_headers if each[0] != b"set-cookie"], bytes(page.body)
