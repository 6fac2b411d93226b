"""What the Python scripts share: expectations, and a comparison that says every difference.

A script collects mismatches in a Check and ends with done(): everything that differs is printed
as path, got, want, and the exit code is 1. The dictionaries built by trace(), observation(),
score() and observation_v2() name every key of an answer, so comparing with them also proves that
no key is missing and none is added.
"""

import base64
import datetime as dt
import enum
import json
import os
import re
import sys
import urllib.error
import urllib.request

BASE_URL = os.environ["LANGFUSE_HOST"]
PUBLIC_KEY = os.environ["LANGFUSE_PUBLIC_KEY"]
SECRET_KEY = os.environ["LANGFUSE_SECRET_KEY"]
PROJECT_ID = os.environ["CLEW_PROJECT_ID"]

STARTED = dt.datetime.now(dt.timezone.utc)
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Matcher:
    """Stands for a value that cannot be written down beforehand."""

    def mismatch(self, got, wire):
        """What is wrong with got, or None. wire: got is the answer itself, not an SDK's model."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(map(repr, vars(self).values()))})"


class Any(Matcher):
    """A value that is not null."""

    def mismatch(self, got, wire):
        return "want a value" if got is None else None


class Text(Matcher):
    """A string of this form."""

    def __init__(self, pattern):
        self.pattern = pattern

    def mismatch(self, got, wire):
        if not isinstance(got, str) or not re.fullmatch(self.pattern, got):
            return f"want text like {self.pattern}"
        return None


class Time(Matcher):
    """An instant, on the wire with three digits and Z. Digits below the millisecond are cut."""

    def __init__(self, want):
        if isinstance(want, int):  # nanoseconds since 1970
            want = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(
                milliseconds=want // 1_000_000
            )
        self.want = want.replace(microsecond=want.microsecond // 1000 * 1000)

    def mismatch(self, got, wire):
        if not isinstance(got, str) or (wire and not WIRE_TIME.fullmatch(got)):
            return "want a time of the form 2026-01-02T03:04:05.678Z"
        if parse_time(got) != self.want:
            return "want " + self.want.isoformat()
        return None


class Recent(Matcher):
    """A time since the script began, give or take the granularity of clocks."""

    def mismatch(self, got, wire):
        if not isinstance(got, str) or (wire and not WIRE_TIME.fullmatch(got)):
            return "want a time of the form 2026-01-02T03:04:05.678Z"
        slack = dt.timedelta(seconds=5)
        if not STARTED - slack <= parse_time(got) <= dt.datetime.now(dt.timezone.utc) + slack:
            return "want a time since the script began"
        return None


class Seconds(Matcher):
    """A duration in seconds, within a millisecond: ends are cut to milliseconds on their way."""

    def __init__(self, want):
        self.want = want

    def mismatch(self, got, wire):
        if isinstance(got, bool) or not isinstance(got, (int, float)) or abs(got - self.want) > 0.00101:
            return f"want {self.want:.6f} s"
        return None


class NullOrAbsent(Matcher):
    """A key that may be left out, and is null when it is there."""

    def mismatch(self, got, wire):
        return None if got is None else "want null, or no such key"


class Superset(Matcher):
    """An object that holds at least these keys."""

    def __init__(self, want):
        self.want = want

    def mismatch(self, got, wire):
        if not isinstance(got, dict):
            return "want an object"
        part = {k: got[k] for k in self.want if k in got}
        found = differences("", part, self.want, wire)
        return "; ".join(found) or None


class JSONText(Matcher):
    """A string holding this value as JSON, however it is spaced."""

    def __init__(self, want):
        self.want = want

    def mismatch(self, got, wire):
        if not isinstance(got, str):
            return f"want JSON text of {self.want!r}"
        try:
            parsed = json.loads(got)
        except ValueError:
            return f"want JSON text of {self.want!r}"
        return "; ".join(differences("", parsed, self.want, wire)) or None


class Decimal(Matcher):
    """A number as decimal text."""

    def __init__(self, want):
        self.want = want

    def mismatch(self, got, wire):
        if not isinstance(got, str) or not re.fullmatch(r"\d+(\.\d+)?", got) or float(got) != self.want:
            return f"want {self.want} as decimal text"
        return None


class Either(Matcher):
    """One of several values that a client may see."""

    def __init__(self, *wants):
        self.wants = wants

    def mismatch(self, got, wire):
        if all(differences("", got, want, wire) for want in self.wants):
            return f"want one of {self.wants!r}"
        return None


def differences(path, got, want, wire):
    """Every difference as text. With wire, whole numbers must have come without a fraction."""
    if isinstance(want, Matcher):
        problem = want.mismatch(got, wire)
        return [f"{path or '.'}: got {got!r}, {problem}"] if problem else []
    if isinstance(want, dict) and isinstance(got, dict):
        absent = [k for k in want if k not in got and not isinstance(want[k], NullOrAbsent)]
        found = [f"{path}.{k}: missing, want {want[k]!r}" for k in absent]
        found += [f"{path}.{k}: got {got[k]!r}, want no such key" for k in got if k not in want]
        for k in want:
            if k in got:
                found += differences(f"{path}.{k}", got[k], want[k], wire)
        return found
    if isinstance(want, (list, tuple)) and isinstance(got, list):
        if len(want) != len(got):
            return [f"{path}: got {len(got)} items {got!r}, want {len(want)} items {want!r}"]
        found = []
        for i, (g, w) in enumerate(zip(got, want)):
            found += differences(f"{path}[{i}]", g, w, wire)
        return found
    same = got == want and isinstance(got, bool) == isinstance(want, bool)
    if wire and type(want) is int and type(got) is float:
        same = False
    return [] if same else [f"{path or '.'}: got {got!r}, want {want!r}"]


class Check:
    """Collects what differs, so that one run tells everything."""

    def __init__(self):
        self.compared = 0
        self.problems = []

    def equal(self, what, got, want, wire=False):
        """got must equal want, in which Matchers may stand for values."""
        self.compared += 1
        self.problems += [f"{what}{line}" for line in differences("", got, want, wire)]

    def model(self, what, call, want, shape=lambda got: got):
        """What an SDK's call returns must hold the same values under the same keys. shape makes
        what is compared from it, once its models are plain values."""
        try:
            got = shape(plain(call()))
        except Exception as failed:  # an answer that the SDK cannot read is a finding too
            self.compared += 1
            self.problems.append(f"{what}: {type(failed).__name__}: {failed}")
            return
        self.equal(what, got, want)

    def get(self, path, want, status=200):
        """GET path with the project's keys must answer status and want."""
        got = self._answer(path, status)
        if got is not None:
            self.equal(f"GET {path} ", got, want, wire=True)

    def _answer(self, path, want_status):
        status, got = get(path)
        self.compared += 1
        if status == want_status:
            return got
        self.problems.append(f"GET {path}: got status {status} {got!r}, want status {want_status}")
        return None

    def trace(self, path, want):
        """GET of a whole trace. want has observations by name and scores by id; the answer has
        lists, observations in the order of their starts, of which the wire shows milliseconds."""
        got = self._answer(path, 200)
        if got is None:
            return
        order = [o["startTime"] for o in got.get("observations", [])]
        self.equal(f"GET {path} order of observations ", order, sorted(order))
        self.equal(f"GET {path} ", keyed(got), want, wire=True)

    def v2(self, path, want):
        """GET of one page of v2 observations, which is all there is; want has them by name.
        The answer has them in the order of their starts, latest first."""
        got = self._answer(path, 200)
        if got is None:
            return
        order = [o["startTime"] for o in got.get("data", [])]
        self.equal(f"GET {path} order ", order, sorted(order, reverse=True))
        got["data"] = by("name", got.get("data", []))
        self.equal(f"GET {path} ", got, {"data": want, "meta": {}}, wire=True)

    def projects(self, call=None):
        """GET /api/public/projects, and the same by an SDK's call."""
        organization = {"id": os.environ["CLEW_ORG_ID"], "name": os.environ["CLEW_ORG_NAME"]}
        project = {"id": PROJECT_ID, "name": os.environ["CLEW_PROJECT_NAME"]}
        want = {"data": [{**project, "organization": organization, "metadata": {}}]}
        self.get("/api/public/projects", want)
        if call is not None:
            self.model("projects.get", call, want)

    def health(self, call=None):
        """The routes that need no key, and health by an SDK's call."""
        want = {"status": "OK", "version": Text(r"4\.35\.0\+clew\..+")}
        self.get("/api/public/health", want)
        self.get("/api/public/ready", {"status": Any(), "version": want["version"]})
        if call is not None:
            self.model("health.health", call, want)

    def done(self):
        """Ends the script: 0 when everything was as it should be."""
        if not self.compared:
            self.problems.append("nothing was compared")
        for problem in self.problems:
            print("FAIL", problem)
        print(f"{self.compared} comparisons, {len(self.problems)} problems")
        sys.stdout.flush()
        sys.exit(1 if self.problems else 0)


def get(path):
    """GET with the project's keys: (status, parsed body)."""
    return send("GET", path)


def post(path, body):
    """POST of a JSON body with the project's keys, which must be taken: the parsed answer."""
    status, answer = send("POST", path, json.dumps(body).encode())
    if not 200 <= status < 300:
        raise AssertionError(f"POST {path}: {status} {answer}")
    return answer


def send(method, path, body=None):
    """A request with the project's keys: (status, parsed body)."""
    token = base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()
    headers = {"Authorization": "Basic " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(BASE_URL + path, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as failed:
        return failed.code, json.load(failed)


def plain(model):
    """An SDK model as JSON values, times as text."""
    if hasattr(model, "dict"):
        model = model.dict()
    if isinstance(model, dict):
        return {k: plain(v) for k, v in model.items()}
    if isinstance(model, (list, tuple)):
        return [plain(v) for v in model]
    if isinstance(model, dt.datetime):
        return model.isoformat()
    if isinstance(model, enum.Enum):
        return model.value
    return model


def parse_time(text):
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))


def by(key, items):
    """A list as a dictionary, for lists whose order follows from clocks."""
    return {item[key]: item for item in items}


def keyed(trace):
    """A trace with its observations by name and its scores by id."""
    lists = {k: by(key, trace[k]) for k, key in (("observations", "name"), ("scores", "id")) if k in trace}
    return {**trace, **lists}


def fill(defaults, given):
    unknown = set(given) - set(defaults)
    if unknown:
        raise TypeError(f"no such keys: {sorted(unknown)}")
    return {**defaults, **given}


def trace(**given):
    """Every key of GET /api/public/traces/{id}, with what an empty trace has."""
    defaults = {
        "id": Any(), "projectId": PROJECT_ID, "name": None, "timestamp": Any(),
        "environment": "default", "tags": [], "bookmarked": False, "public": False,
        "release": None, "version": None, "userId": None, "sessionId": None,
        "input": None, "output": None, "metadata": {}, "createdAt": Recent(), "updatedAt": Recent(),
        "externalId": None, "htmlPath": f"/project/{PROJECT_ID}/traces/{given.get('id')}",
        "latency": 0, "totalCost": 0, "observations": {}, "scores": {},
    }
    return fill(defaults, given)


def observation(**given):
    """Every key of an observation in a trace, with what an observation says that was told nothing."""
    defaults = {
        "id": Any(), "projectId": PROJECT_ID, "traceId": Any(), "parentObservationId": None,
        "type": "SPAN", "name": None, "environment": "default", "startTime": Any(), "endTime": None,
        "completionStartTime": None, "level": "DEFAULT", "statusMessage": None, "version": None,
        "createdAt": Recent(), "updatedAt": Recent(), "input": None, "output": None, "metadata": {},
        "model": None, "modelParameters": None, "modelId": None,
        "promptId": None, "promptName": None, "promptVersion": None,
        "usageDetails": {}, "costDetails": {},
        "usage": {"unit": "TOKENS", "input": 0, "output": 0, "total": 0}, "unit": "TOKENS",
        "promptTokens": 0, "completionTokens": 0, "totalTokens": 0,
        "calculatedInputCost": None, "calculatedOutputCost": None, "calculatedTotalCost": 0,
        "inputPrice": 0, "outputPrice": 0, "totalPrice": 0,
        "usagePricingTierId": None, "usagePricingTierName": None,
        "latency": None, "timeToFirstToken": None,
    }
    return fill(defaults, given)


def point(start):
    """End and latency of an event that came as a span without length: null, or as the span has it."""
    return {"endTime": Either(None, Time(start)), "latency": Either(None, 0)}


def usage(input, output, total):
    """The keys of an observation that repeat its usage."""
    return {
        "usage": {"unit": "TOKENS", "input": input, "output": output, "total": total},
        "promptTokens": input, "completionTokens": output, "totalTokens": total,
    }


def alone(observation):
    """The same observation as GET /observations/{id} shows it: a price that is not there is null."""
    prices = {k: observation[k] or None for k in ("inputPrice", "outputPrice", "totalPrice")}
    return {**observation, **prices}


def score(**given):
    """Every key of a score. Which of value and stringValue are there goes by type: the caller says."""
    defaults = {
        "id": Any(), "projectId": PROJECT_ID, "environment": "default", "name": Any(), "source": "API",
        "authorUserId": None, "comment": None, "metadata": {}, "configId": None, "queueId": None,
        "executionTraceId": None, "createdAt": Recent(), "updatedAt": Recent(), "timestamp": Recent(),
        "traceId": Any(), "observationId": NullOrAbsent(), "dataType": "NUMERIC",
    }
    if given.get("dataType", "NUMERIC") == "NUMERIC":
        given.setdefault("stringValue", NullOrAbsent())
    value = {k: given.pop(k) for k in ("value", "stringValue") if k in given}
    return {**fill(defaults, given), **value}


V2_GROUPS = "core,basic,time,io,metadata,model,usage,prompt,metrics,trace_context"


def observation_v2(v1, of, **given):
    """Every key of an observation of GET /v2/observations with all groups, from what the same
    observation (v1) and its trace (of) have in the other reads. Bodies come as raw text there."""
    def raw(value):
        return value if value is None or isinstance(value, str) else JSONText(value)

    def price(value):
        return Decimal(value) if value else None

    same = ("id", "traceId", "startTime", "endTime", "projectId", "parentObservationId", "type",
            "name", "level", "statusMessage", "version", "environment", "completionStartTime",
            "createdAt", "updatedAt", "metadata", "modelParameters", "usageDetails", "costDetails",
            "usagePricingTierName", "promptId", "promptName", "promptVersion", "latency",
            "timeToFirstToken", "modelId", "model")
    defaults = {k: v1[k] for k in same}
    defaults.update({
        "bookmarked": False, "public": of["public"], "userId": of["userId"],
        "sessionId": of["sessionId"], "isRootObservation": v1["parentObservationId"] is None,
        "input": raw(v1["input"]), "output": raw(v1["output"]),
        "providedModelName": v1["model"], "internalModelId": v1["modelId"],
        "totalCost": v1["costDetails"].get("total"), "tags": of["tags"], "release": of["release"],
        "traceName": of["name"], "inputPrice": price(v1["inputPrice"]),
        "outputPrice": price(v1["outputPrice"]), "totalPrice": price(v1["totalPrice"]),
    })
    return fill(defaults, given)
