"""The HTTP client against servers on loopback: what is not sent again, and where secrets go."""

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from carbonq.domain.errors import CarbonqError, SourceNonsense, SourceRefused, SourceUnreachable
from carbonq.forecasters.carbon.conditional import KeptAnswers
from carbonq.forecasters.carbon.credentials import Credentials
from carbonq.forecasters.carbon.http import JsonClient
from carbonq.forecasters.carbon.testing.server import Answer, ProviderServer, Request, says

KEY = "s3cret/key+of=a lab"
IN_HEADER = Credentials(headers={"auth-token": KEY})
IN_QUERY = Credentials(params={"securityToken": KEY})


def _greets(request: Request) -> Answer:
    return says({"path": request.path})


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(_greets, validates=True) as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[ProviderServer]:
    with ProviderServer(_greets) as server:
        yield server


def client(server: ProviderServer, credentials: Credentials = Credentials()) -> JsonClient:  # noqa: B008  # frozen
    return JsonClient(server.url, credentials=credentials, sleep=lambda _: None)


def test_what_has_not_changed_is_not_sent_again(server: ProviderServer) -> None:
    asking = client(server)
    first = asking.get("/zones")
    assert asking.get("/zones") == first
    assert "if-none-match" not in server.requests[0].headers
    assert server.requests[1].headers["if-none-match"].startswith('"')


def test_another_question_is_not_answered_with_the_kept_one(server: ProviderServer) -> None:
    asking = client(server)
    asking.get("/zones", {"of": "FR"})
    asking.get("/zones", {"of": "DE"})
    assert "if-none-match" not in server.requests[1].headers


def test_a_date_serves_where_there_is_no_tag(elsewhere: ProviderServer) -> None:
    stamp = "Mon, 06 Jul 2026 09:00:00 GMT"
    elsewhere.faults += [says([1], ("Last-Modified", stamp)), Answer(304, b"")]
    asking = client(elsewhere)
    assert [asking.get("/zones"), asking.get("/zones")] == [[1], [1]]
    assert elsewhere.requests[1].headers["if-modified-since"] == stamp


def test_a_304_that_nobody_asked_for_is_a_refusal(server: ProviderServer) -> None:
    server.faults.append(Answer(304, b""))
    with pytest.raises(SourceRefused, match="304"):
        client(server).get("/zones")


def test_the_bytes_of_an_answer_that_is_no_json_can_be_had(server: ProviderServer) -> None:
    server.faults.append(Answer(body=b"<GL_MarketDocument/>"))
    assert client(server).get_bytes("/api") == b"<GL_MarketDocument/>"


def test_the_path_keeps_its_slash_at_the_end_and_may_be_empty(server: ProviderServer) -> None:
    asking = JsonClient(f"{server.url}/v2")
    asking.get("/data/", {"data[0]": "value", "facet": ["a", "b"]})
    asking.get("")
    assert server.paths == ["/v2/data/?data%5B0%5D=value&facet=a&facet=b", "/v2"]


@pytest.mark.parametrize("credentials", [IN_HEADER, IN_QUERY], ids=["header", "query"])
def test_the_provider_gets_the_key(server: ProviderServer, credentials: Credentials) -> None:
    client(server, credentials).get("/zones", {"of": "FR"})
    (request,) = server.requests
    assert KEY in (request.headers.get("auth-token"), request.params.get("securityToken"))
    assert request.params["of"] == "FR"


def test_a_user_and_password_are_sent_as_the_rfc_has_it(server: ProviderServer) -> None:
    client(server, Credentials.basic("Aladdin", "open sesame")).get("/login")
    assert server.requests[0].headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def _refused(server: ProviderServer, asking: JsonClient) -> None:
    server.faults.append(says({"error": f"the key {KEY} is unknown"}, status=403))
    asking.get("/zones")


def _refused_with_the_address(server: ProviderServer, asking: JsonClient) -> None:
    server.faults.append(Answer(400, b"<Reason><text>" + server_quote(KEY) + b" is invalid</text></Reason>"))
    asking.get("/zones")


def _html(server: ProviderServer, asking: JsonClient) -> None:
    server.faults.append(Answer(body=b"Hi " + KEY.encode() + b"! Please sign in"))
    asking.get("/zones")


def _cut_off(server: ProviderServer, asking: JsonClient) -> None:
    server.faults += [Answer(body=b"{", promised_b=1000)] * 3
    asking.get("/zones")


def _busy(server: ProviderServer, asking: JsonClient) -> None:
    server.faults += [says({"message": f"{KEY}: too fast"}, status=429)] * 3
    asking.get("/zones")


def _circles(server: ProviderServer, asking: JsonClient) -> None:
    server.faults += [Answer(302, headers=(("Location", "/zones?securityToken=" + server_quote(KEY).decode()),))] * 9
    asking.get("/zones")


def _leads_nowhere(server: ProviderServer, asking: JsonClient) -> None:
    to = f"http://[nowhere/?{server_quote(KEY).decode()}"
    server.faults.append(Answer(302, headers=(("Location", to),)))
    asking.get("/zones")


def _nobody_there(server: ProviderServer, asking: JsonClient) -> None:
    server.faults.append(Answer(302, headers=(("Location", f"{server.url[:-5]}1/?k={server_quote(KEY).decode()}"),)))
    asking.get("/zones")


def server_quote(text: str) -> bytes:
    from urllib.parse import quote

    return quote(text, safe="").encode()


@pytest.mark.parametrize(
    "mishap",
    [_refused, _refused_with_the_address, _html, _cut_off, _busy, _circles, _leads_nowhere, _nobody_there],
    ids=lambda mishap: mishap.__name__.strip("_"),
)
@pytest.mark.parametrize("credentials", [IN_HEADER, IN_QUERY], ids=["header", "query"])
def test_no_text_of_an_error_or_a_log_holds_the_key(
    server: ProviderServer,
    credentials: Credentials,
    mishap: Callable[[ProviderServer, JsonClient], None],
) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with pytest.raises(CarbonqError) as caught:
            mishap(server, client(server, credentials))
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    error: BaseException | None = caught.value
    assert str(error)
    assert "/zones" in caught.value.where
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value) + log.getvalue()
    assert "GET" in log.getvalue()
    for form in (KEY, server_quote(KEY).decode(), "s3cret"):
        assert form not in told
    assert error is not None
    assert error.__context__ is None or KEY not in str(error.__context__)


def test_what_a_provider_echoes_in_a_good_answer_is_hidden_too(server: ProviderServer) -> None:
    """Some answer with the request's parameters beside the data: what quotes an answer must not quote them."""
    server.faults.append(says({"request": {"api_key": KEY}, "data": [1]}))
    assert client(server, IN_QUERY).get("/data") == {"request": {"api_key": "***"}, "data": [1]}


@pytest.mark.parametrize("credentials", [IN_HEADER, Credentials.bearer(KEY)], ids=["own header", "authorization"])
def test_a_key_in_a_header_does_not_follow_a_redirect_to_another_host(
    server: ProviderServer, elsewhere: ProviderServer, credentials: Credentials
) -> None:
    server.faults.append(Answer(302, headers=(("Location", f"{elsewhere.url}/zones"),)))
    assert client(server, credentials).get("/zones") == {"path": "/zones"}
    assert not {"auth-token", "authorization"} & set(elsewhere.requests[0].headers)


def test_a_key_in_a_header_follows_a_redirect_at_home(server: ProviderServer) -> None:
    server.faults.append(Answer(301, headers=(("Location", "/v4/zones"),)))
    assert client(server, IN_HEADER).get("/zones") == {"path": "/v4/zones"}
    assert server.requests[1].headers["auth-token"] == KEY


def test_a_redirect_to_another_host_with_the_key_in_its_address_is_not_followed(
    server: ProviderServer, elsewhere: ProviderServer
) -> None:
    server.faults.append(
        Answer(302, headers=(("Location", f"{elsewhere.url}/?securityToken={server_quote(KEY).decode()}"),))
    )
    with pytest.raises(SourceUnreachable, match="elsewhere"):
        client(server, IN_QUERY).get("/zones")
    assert elsewhere.requests == []


def test_three_redirects_are_followed_and_no_fourth(server: ProviderServer) -> None:
    moved = Answer(302, headers=(("Location", "/v4/zones"),))
    server.faults += [moved] * 3
    assert client(server).get("/zones") == {"path": "/v4/zones"}
    server.faults += [moved] * 4
    with pytest.raises(SourceUnreachable, match="more than 3 redirects"):
        client(server).get("/zones")
    assert len(server.requests) == 4 + 4


def test_several_threads_ask_at_once_and_each_gets_its_own_answer(server: ProviderServer) -> None:
    """What is kept is little enough for answers to be pushed out all the time."""
    asking = client(server)
    asking._kept = KeptAnswers(100)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: asking.get(f"/zones/{number % 7}"), range(140)))
    assert answers == [{"path": f"/zones/{number % 7}"} for number in range(140)]


class _Tokens:
    """Hands out a new token each time, and a server that takes only those it names."""

    def __init__(self, *accepted: str) -> None:
        self.made, self.accepted = 0, accepted

    def renew(self) -> Credentials:
        self.made += 1
        return Credentials.bearer(f"token-number-{self.made}")

    def answer(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return says([token]) if token in self.accepted else says({"message": f"bad {token}"}, status=401)


def test_a_token_is_fetched_first_and_then_used_again() -> None:
    tokens = _Tokens("token-number-1")
    with ProviderServer(tokens.answer) as server:
        asking = JsonClient(server.url, renew=tokens.renew)
        assert asking.get_bytes("/data") == asking.get_bytes("/data") == b'["***"]'
    assert tokens.made == 1


def test_a_token_that_has_run_out_is_renewed_once() -> None:
    tokens = _Tokens("token-number-2")
    with ProviderServer(tokens.answer) as server:
        assert JsonClient(server.url, renew=tokens.renew).get_bytes("/data") == b'["***"]'
    assert tokens.made == 2


def test_a_token_that_is_refused_anew_is_not_renewed_for_ever() -> None:
    tokens = _Tokens()
    with ProviderServer(tokens.answer) as server:
        with pytest.raises(SourceRefused, match=r"401: bad \*\*\*") as caught:
            JsonClient(server.url, renew=tokens.renew).get("/data")
        assert len(server.requests) == 2
    assert caught.value.status == 401


def test_a_key_of_a_netrc_file_does_not_replace_ours(
    server: ProviderServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client(server, Credentials.bearer(KEY)).get("/zones")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"message": "no such zone"}}', "no such zone"),
        (b'{"error": "no such zone"}', "no such zone"),
        (b'{"error": true, "message": "no such zone"}', "no such zone"),
        (b'{"error_code": "ODSQLError", "message": "no such zone"}', "no such zone"),
        (b'{"detail": "no such zone"}', "no such zone"),
        (b'{"title": "no such zone", "status": 404}', "no such zone"),
        (b"<Acknowledgement><Reason><text>no such\n zone</text></Reason></Acknowledgement>", "no such zone"),
    ],
)
def test_the_reason_for_a_refusal_is_told_however_the_provider_words_it(
    server: ProviderServer, body: bytes, reason: str
) -> None:
    server.faults.append(Answer(400, body))
    with pytest.raises(SourceRefused, match=f"^the provider answers 400: {reason}"):
        client(server).get("/zones")


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b'{"error": [1]}', b'{"error": 5}', b"<html>", b"[" * 99_999])
def test_a_refusal_without_a_reason_is_told_by_its_status(server: ProviderServer, body: bytes) -> None:
    server.faults.append(Answer(400, body))
    with pytest.raises(SourceRefused) as caught:
        client(server).get("/zones")
    assert caught.value.what.startswith("the provider answers 400")


def test_credentials_show_nothing_of_themselves() -> None:
    shown = repr([Credentials.basic("someone", KEY), IN_HEADER, IN_QUERY])
    assert "s3cret" not in shown
    assert "someone" not in shown


def test_a_nonsense_answer_names_the_question_with_its_parameters(server: ProviderServer) -> None:
    server.faults.append(Answer(body=b"<html>"))
    with pytest.raises(SourceNonsense) as caught:
        client(server, IN_QUERY).get("/zones", {"of": "FR"})
    assert caught.value.where == f"{server.url}/zones?of=FR"
