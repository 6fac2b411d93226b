"""A server on this machine that answers like OpenAI's, in place of a provider of models."""

import http.server
import json
import threading

KEY = "sk-of-the-provider"


class Provider(http.server.BaseHTTPRequestHandler):
    """Says the last message again, in pieces where it is asked to, and calls a function where it is given one."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers, asked))
        if asked["messages"][-1]["content"] == "fail":
            self.answer(429, "application/json", json.dumps({"error": {"message": "too many requests"}}))
            return
        said = "You said: " + asked["messages"][-1]["content"]
        head = {"id": "c1", "created": 1, "model": asked["model"]}
        usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
        if asked.get("stream"):
            parts = [{"role": "assistant", "content": said[:4]}, {"content": said[4:]}]
            chunks = [{**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in parts]
            if asked.get("stream_options", {}).get("include_usage"):
                chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
            self.answer(200, "text/event-stream", "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n")
            return
        message = {"role": "assistant", "content": said}
        if asked.get("tools"):
            call = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{\"q\": 1}"}}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        self.answer(200, "application/json", json.dumps({
            **head, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage,
        }))

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


asked = []  # the headers and the body of every call, in order


def serve():
    """Starts a provider, which ends with the script, and is its base URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.asked = asked
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"
