package langfuse

import (
	"testing"
)

func TestIngestionReply(t *testing.T) {
	f := newFixture(t)
	f.want("full", "POST", ingestionPath, `{"batch":[
	  {"id":"e1","type":"trace-create","timestamp":"2026-03-01T09:00:00.000Z","body":{"id":"t1","name":"n","tags":["a"]}},
	  {"id":"e2","type":"generation-create","timestamp":"2026-03-01T09:00:00.001Z","body":{"id":"g1","traceId":"t1","promptName":"p"}}
	]}`, `207 {"successes":[{"id":"e1","status":201}],"errors":[{"id":"e2","status":400,"message":"Invalid request data","error":"body.promptVersion: is required with promptName"}]}`)
}
