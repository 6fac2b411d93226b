package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/harness"
)

// announce asks for the URL to upload a content to, "" where it is there already.
func announce(t *testing.T, s *harness.Server, data []byte, typ, context string) (id, uploadURL string) {
	t.Helper()
	sum := sha256.Sum256(data)
	body := fmt.Sprintf(`{"contentType":%q,"contentLength":%d,"sha256Hash":%q,%s}`, typ, len(data), base64.StdEncoding.EncodeToString(sum[:]), context)
	status, _, reply := s.Do("POST", "/api/public/media", nil, []byte(body))
	var r struct{ MediaID, UploadURL string }
	if err := json.Unmarshal(reply, &r); err != nil || status != http.StatusCreated {
		t.Fatalf("announce: %d %s", status, reply)
	}
	if want := base64.RawURLEncoding.EncodeToString(sum[:])[:22]; r.MediaID != want {
		t.Errorf("media id %s, SDKs compute %s", r.MediaID, want)
	}
	return r.MediaID, r.UploadURL
}

// bare sends a request without a key, as SDKs use the URLs of contents.
func bare(t *testing.T, method, url string, header http.Header, body []byte) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, got
}

func getMedia(t *testing.T, s *harness.Server, id string) (status int, url, typ string) {
	t.Helper()
	status, _, body := s.Do("GET", "/api/public/media/"+id, nil, nil)
	var r struct{ URL, ContentType string }
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return status, r.URL, r.ContentType
}

const traceContext = `"field":"input","traceId":"t","observationId":null`

// A content is uploaded, kept over a kill, and read whole and in parts.
func TestMedia(t *testing.T) {
	s := harness.Start(t, "")
	data := bytes.Repeat([]byte("picture "), 100_000)
	id, up := announce(t, s, data, "image/png", traceContext)
	if status, _, _ := getMedia(t, s, id); status != http.StatusNotFound {
		t.Errorf("before the upload: %d, want 404", status)
	}
	for name, wrong := range map[string][]byte{"shorter": data[1:], "other": append([]byte("P"), data[1:]...)} {
		if status, _, body := bare(t, "PUT", up, nil, wrong); status != http.StatusBadRequest {
			t.Errorf("a content that is %s: %d %s", name, status, body)
		}
	}
	if status, _, body := bare(t, "PUT", up, http.Header{"Content-Type": {"image/png"}, "X-Amz-Checksum-Sha256": {"ignored"}}, data); status != http.StatusOK {
		t.Fatalf("upload: %d %s", status, body)
	}
	s.Kill()
	before := s.BaseURL
	s = harness.Start(t, s.Dir)
	up = strings.Replace(up, before, s.BaseURL, 1) // its signature holds on
	status, url, typ := getMedia(t, s, id)
	if status != http.StatusOK || typ != "image/png" {
		t.Fatalf("after the upload and a kill: %d, %s", status, typ)
	}
	status, h, got := bare(t, "GET", url, nil, nil)
	if status != http.StatusOK || !bytes.Equal(got, data) || h.Get("Content-Type") != "image/png" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("content: %d, %d bytes, %v", status, len(got), h)
	}
	status, _, got = bare(t, "GET", url, http.Header{"Range": {"bytes=8-15"}}, nil)
	if status != http.StatusPartialContent || string(got) != "picture " {
		t.Errorf("part of the content: %d %q", status, got)
	}
	// The URL allows this one thing: another method, content, project or end has another signature.
	for _, bad := range []string{
		strings.Replace(url, "project=", "project=x", 1), strings.Replace(url, "until=", "until=9", 1), strings.Replace(url, id, strings.Repeat("A", 22), 1),
		strings.Replace(url, "signature=", "signature=A", 1), up, url[:strings.Index(url, "?")],
	} {
		if status, _, body := bare(t, "GET", bad, nil, nil); status != http.StatusForbidden {
			t.Errorf("GET %s: %d %.100s", bad, status, body)
		}
	}
	if status, _, _ := bare(t, "PUT", url, nil, data); status != http.StatusForbidden {
		t.Errorf("PUT to the URL of a GET: %d", status)
	}
	if _, again := announce(t, s, data, "image/png", `"field":"metadata","traceId":"other"`); again != "" {
		t.Errorf("the same content is asked for again: %s", again)
	}
	s.Stop()
	if out, exit := clew(t, nil, "check", "--data", s.Dir); exit != 0 {
		t.Errorf("check: %s", out)
	}
}

// What could run in a browser is given as bytes, never as what it says it is.
func TestMediaIsNeverRun(t *testing.T) {
	s := harness.Start(t, "")
	for typ, want := range map[string]string{
		"text/html": "application/octet-stream", "application/javascript": "application/octet-stream", "application/xml": "application/octet-stream",
		"application/x-made-up": "application/octet-stream", "image/svg+xml": "image/svg+xml", "text/plain": "text/plain; charset=utf-8",
	} {
		data := []byte("<script>alert('" + typ + "')</script>")
		id, up := announce(t, s, data, typ, traceContext)
		if status, _, body := bare(t, "PUT", up, nil, data); status != http.StatusOK {
			t.Fatalf("upload: %d %s", status, body)
		}
		_, url, _ := getMedia(t, s, id)
		_, h, _ := bare(t, "GET", url, nil, nil)
		if got := h.Get("Content-Type"); got != want || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s is served as %s with the policy %q", typ, got, h.Get("Content-Security-Policy"))
		}
		if attached := strings.HasPrefix(h.Get("Content-Disposition"), "attachment"); attached != (want == "application/octet-stream") {
			t.Errorf("%s: disposition %q", typ, h.Get("Content-Disposition"))
		}
	}
}

// A reference in an item of a dataset comes with what it refers to; one to a
// content that nobody announced is refused.
func TestMediaInDatasets(t *testing.T) {
	s := harness.Start(t, "", "CLEW_PUBLIC_URL=https://clew.example.com/")
	post := func(path, body string) (int, string) {
		status, _, reply := s.Do("POST", path, nil, []byte(body))
		return status, string(reply)
	}
	_, reply := post("/api/public/v2/datasets", `{"name":"d"}`)
	var d struct{ ID string }
	if err := json.Unmarshal([]byte(reply), &d); err != nil {
		t.Fatal(err)
	}
	data := []byte("sound")
	id, up := announce(t, s, data, "audio/wav", `"field":"expectedOutput","datasetId":"`+d.ID+`","datasetItemId":"i"`)
	if !strings.HasPrefix(up, "https://clew.example.com/api/public/media/") {
		t.Errorf("upload URL %s is not below the public one", up)
	}
	up = strings.Replace(up, "https://clew.example.com", s.BaseURL, 1)
	if status, _, body := bare(t, "PUT", up, nil, data); status != http.StatusOK {
		t.Fatalf("upload: %d %s", status, body)
	}
	ref := "@@@langfuseMedia:type=audio/wav|id=" + id + "|source=bytes@@@"
	status, reply := post("/api/public/dataset-items", `{"datasetName":"d","id":"i","input":"no `+ref+` end","expectedOutput":{"a":[1,{"it's":"`+ref+`"}]}}`)
	if status != http.StatusOK {
		t.Fatalf("item: %d %s", status, reply)
	}
	var it struct {
		MediaReferences []struct {
			Field, ReferenceString, JSONPath string
			Media                            struct{ MediaID, ContentType, URL string }
		}
	}
	if err := json.Unmarshal([]byte(reply), &it); err != nil {
		t.Fatal(err)
	}
	if len(it.MediaReferences) != 2 {
		t.Fatalf("references: %s", reply)
	}
	for i, want := range []struct{ field, path string }{{"input", "$"}, {"expectedOutput", "$['a'][1]['it's']"}} {
		got := it.MediaReferences[i]
		if got.Field != want.field || got.JSONPath != want.path || got.ReferenceString != ref || got.Media.MediaID != id || got.Media.ContentType != "audio/wav" {
			t.Errorf("reference %d: %+v", i, got)
		}
	}
	unknown := strings.Replace(ref, id, strings.Repeat("A", 22), 1)
	if status, reply := post("/api/public/dataset-items", `{"datasetName":"d","input":["`+unknown+`"]}`); status != http.StatusBadRequest || !strings.Contains(reply, "$[0]") {
		t.Errorf("an unknown reference: %d %s", status, reply)
	}
}

// A content goes with the last trace that it stands in, from the disk too, and
// may come again.
func TestDeletedTracesTakeMedia(t *testing.T) {
	s := harness.Start(t, "")
	data := []byte("a picture that must go")
	id, up := announce(t, s, data, "image/png", `"field":"input","traceId":"0af7651916cd43dd8448eb211c80319c"`)
	if status, _, body := bare(t, "PUT", up, nil, data); status != http.StatusOK {
		t.Fatalf("upload: %d %s", status, body)
	}
	announce(t, s, data, "image/png", `"field":"output","traceId":"second","observationId":"o"`)
	if _, again := announce(t, s, []byte("kept"), "image/png", `"field":"input","traceId":"third"`); again != "" {
		if status, _, body := bare(t, "PUT", again, nil, []byte("kept")); status != http.StatusOK {
			t.Fatalf("upload: %d %s", status, body)
		}
	}
	remove := func(trace string) {
		t.Helper()
		if status, _, body := s.Do("DELETE", "/api/public/traces/"+trace, nil, nil); status != http.StatusOK {
			t.Errorf("delete: %d %s", status, body)
		}
	}
	blobs := func() (n int) {
		t.Helper()
		err := filepath.WalkDir(filepath.Join(s.Dir, "blobs"), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return n
	}
	remove("0af76519-16cd-43dd-8448-eb211c80319c") // the same trace, spelled otherwise
	status, url, _ := getMedia(t, s, id)
	if status != http.StatusOK || blobs() != 2 {
		t.Errorf("while another trace has it: %d, %d files", status, blobs())
	}
	remove("second")
	if status, _, _ := s.Do("GET", "/api/public/media/"+id, nil, nil); status != http.StatusNotFound || blobs() != 1 {
		t.Errorf("after both are deleted: %d, %d files", status, blobs())
	}
	for _, method := range []string{"GET", "PUT"} {
		target := map[string]string{"GET": url, "PUT": up}[method]
		if status, _, _ := bare(t, method, target, nil, data); status != http.StatusNotFound {
			t.Errorf("%s of a URL from before: %d", method, status)
		}
	}
	remove("second") // there is nothing left to delete
	if _, up = announce(t, s, data, "image/png", traceContext); up == "" {
		t.Fatal("the content is not asked for again")
	}
	if status, _, body := bare(t, "PUT", up, nil, data); status != http.StatusOK || blobs() != 2 {
		t.Errorf("upload again: %d %s, %d files", status, body, blobs())
	}
}
