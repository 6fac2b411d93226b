package langfuse

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/blob"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// DefaultMaxMedia is how large a content may be, in bytes.
const DefaultMaxMedia = 1 << 30

// mediaURLLife is how long the URL of a content may be used.
const mediaURLLife = time.Hour

func (a *API) mediaRoutes(mux *http.ServeMux) {
	a.handleAs(mux, prefix+"/media", toWriteTraces, map[string]handler{"POST": a.postMedia})
	a.handle(mux, prefix+"/media/{mediaId}", map[string]handler{"GET": a.getMedia})
	a.handleAs(mux, prefix+"/media/{mediaId}", toWriteTraces, map[string]handler{"PATCH": a.patchMedia})
	a.handleOpen(mux, prefix+"/media/{mediaId}/content", map[string]http.HandlerFunc{"PUT": a.putContent, "GET": a.getContent})
}

// postMedia serves POST /media, which announces a content. Its answer is where
// to put it, unless the project has it already.
func (a *API) postMedia(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		TraceID       *string `json:"traceId"`
		ObservationID *string `json:"observationId"`
		DatasetID     *string `json:"datasetId"`
		ItemID        *string `json:"datasetItemId"`
		ContentType   string  `json:"contentType"`
		ContentLength int64   `json:"contentLength"`
		Hash          string  `json:"sha256Hash"`
		Field         string  `json:"field"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	if in.ContentLength > a.maxMedia {
		return invalid("contentLength", fmt.Sprintf("must be at most %d", a.maxMedia))
	}
	m, err := a.catalog.AnnounceMedia(r.Context(), p.Project,
		catalog.Media{Hash: in.Hash, ContentType: in.ContentType, ContentLength: in.ContentLength},
		catalog.MediaLink{
			Field: in.Field, TraceID: textOf(in.TraceID), ObservationID: textOf(in.ObservationID), DatasetID: textOf(in.DatasetID), ItemID: textOf(in.ItemID),
		})
	if err != nil {
		return err
	}
	reply := struct {
		MediaID   string  `json:"mediaId"`
		UploadURL *string `json:"uploadUrl"`
	}{MediaID: m.ID}
	if !m.UploadedAt.IsSet() {
		u, _ := a.contentURL(r, http.MethodPut, p.Project, m.ID)
		reply.UploadURL = &u
	}
	httpio.WriteJSON(w, http.StatusCreated, reply)
	return nil
}

// patchMedia serves PATCH /media/{mediaId}, by which a client tells how its
// upload went. What we have is known without it.
func (a *API) patchMedia(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		UploadedAt string  `json:"uploadedAt"`
		Status     *int    `json:"uploadHttpStatus"`
		Error      *string `json:"uploadHttpError"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	if _, err := parseQueryTime(in.UploadedAt); err != nil {
		return invalid("uploadedAt", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	if in.Status == nil {
		return invalid("uploadHttpStatus", "is required")
	}
	if err := a.catalog.MediaFailed(r.Context(), p.Project, r.PathValue("mediaId"), *in.Status, textOf(in.Error)); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"OK"})
	return nil
}

// mediaReply is a content as the API shows it. Its URL needs no key.
type mediaReply struct {
	MediaID       string `json:"mediaId"`
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
	UploadedAt    string `json:"uploadedAt,omitempty"`
	URL           string `json:"url"`
	URLExpiry     string `json:"urlExpiry"`
}

func (a *API) toMedia(r *http.Request, project string, m *catalog.Media) mediaReply {
	u, expiry := a.contentURL(r, http.MethodGet, project, m.ID)
	return mediaReply{m.ID, m.ContentType, m.ContentLength, wireTime(m.UploadedAt), u, wireTime(domain.TimeOf(expiry))}
}

// getMedia serves GET /media/{mediaId}.
func (a *API) getMedia(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	m, err := a.catalog.Media(r.Context(), p.Project, r.PathValue("mediaId"))
	switch {
	case err != nil:
		return err
	case m.UploadError != "" && !m.UploadedAt.IsSet():
		return domain.Errorf(domain.NotFound, "Media upload failed: %s", m.UploadError)
	case !m.UploadedAt.IsSet():
		return domain.Errorf(domain.NotFound, "Media not yet uploaded")
	}
	httpio.WriteJSON(w, http.StatusOK, a.toMedia(r, p.Project, &m))
	return nil
}

// contentURL is where a content is put or got without a key, and until when.
// SDKs use it as it stands, so it is absolute; what allows it is a signature of
// method, project, content and end.
func (a *API) contentURL(r *http.Request, method, project, id string) (string, time.Time) {
	end := a.now().Add(mediaURLLife).Truncate(time.Second)
	until := strconv.FormatInt(end.Unix(), 10)
	q := url.Values{"project": {project}, "until": {until}, "signature": {a.signature(method, project, id, until)}}
	return cmp.Or(a.publicURL, requestURL(r)) + prefix + "/media/" + url.PathEscape(id) + "/content?" + q.Encode(), end
}

// requestURL is how the client reached us, as far as it and a proxy tell.
func requestURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (a *API) signature(method, project, id, until string) string {
	mac := hmac.New(sha256.New, a.mediaSecret)
	for _, part := range []string{method, project, id, until} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// receiveMedia notes that a content has come, unless it was removed meanwhile
// because the last trace that had it was deleted.
func (a *API) receiveMedia(ctx context.Context, project string, m *catalog.Media, hash blob.Hash) error {
	a.mediaLock.Lock()
	defer a.mediaLock.Unlock()
	if !a.blobs.Has(hash) {
		return domain.Errorf(domain.Unavailable, "the content was deleted while it was uploaded; upload it again")
	}
	return a.catalog.ReceiveMedia(ctx, project, m.ID)
}

// deleteAll deletes traces with what belongs to them. Asked again after a failure
// it goes on, but for files of contents that no record names any more: those
// stay behind.
func (a *API) deleteAll(ctx context.Context, project string, traces []string) error {
	if err := a.traces.DeleteTraces(ctx, project, traces); err != nil {
		return err
	}
	gone, err := a.catalog.ForgetMedia(ctx, project, traces)
	if err != nil {
		return err
	}
	for i := range gone {
		if err := a.removeMedia(ctx, &gone[i]); err != nil {
			return err
		}
	}
	return nil
}

// removeMedia removes a content that no project has any more.
func (a *API) removeMedia(ctx context.Context, m *catalog.Media) error {
	a.mediaLock.Lock()
	defer a.mediaLock.Unlock()
	held, err := a.catalog.HoldsMedia(ctx, m.ID)
	if err != nil || held {
		return err
	}
	hash, err := hashOf(m)
	if err != nil {
		return err
	}
	return a.blobs.Remove(hash)
}

func hashOf(m *catalog.Media) (hash blob.Hash, err error) {
	raw, err := base64.StdEncoding.DecodeString(m.Hash)
	copy(hash[:], raw)
	return hash, err
}

// allowedContent is the content that a signed URL allows that method on.
func (a *API) allowedContent(r *http.Request, method string) (project string, m catalog.Media, hash blob.Hash, err error) {
	q := r.URL.Query()
	project, id, until := q.Get("project"), r.PathValue("mediaId"), q.Get("until")
	if !hmac.Equal([]byte(q.Get("signature")), []byte(a.signature(method, project, id, until))) {
		return project, m, hash, domain.Errorf(domain.Forbidden, "the URL is not signed for this")
	}
	// The signature holds, so that until is a number of ours.
	if end, err := strconv.ParseInt(until, 10, 64); err != nil || !a.now().Before(time.Unix(end, 0)) {
		return project, m, hash, domain.Errorf(domain.Forbidden, "the URL has expired")
	}
	if m, err = a.catalog.Media(r.Context(), project, id); err != nil {
		return project, m, hash, err
	}
	hash, err = hashOf(&m)
	return project, m, hash, err
}

// putContent takes a content. It may be large: it goes from the connection to
// the disk.
func (a *API) putContent(w http.ResponseWriter, r *http.Request) {
	project, m, hash, err := a.allowedContent(r, http.MethodPut)
	if err == nil && r.ContentLength >= 0 && r.ContentLength != m.ContentLength {
		err = domain.Errorf(domain.Invalid, "the content is %d bytes long, %d were announced", r.ContentLength, m.ContentLength)
	}
	if err == nil {
		err = a.blobs.Put(r.Context(), r.Body, m.ContentLength, hash)
	}
	if err == nil {
		err = a.receiveMedia(r.Context(), project, &m, hash)
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK) // SDKs take 200 and 201 alone
}

// shownTypes is the contents that a browser shows without ever running
// anything in them; what may be more is given as bytes to keep.
var shownTypes = []string{"image/", "audio/", "video/", "text/plain", "text/csv", "text/markdown", "application/pdf", "application/json"}

// getContent gives a content, or a part of it.
func (a *API) getContent(w http.ResponseWriter, r *http.Request) {
	_, m, hash, err := a.allowedContent(r, http.MethodGet)
	if err == nil && !m.UploadedAt.IsSet() {
		err = domain.Errorf(domain.NotFound, "Media not yet uploaded")
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	f, err := a.blobs.Open(hash)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	defer f.Close()
	h := w.Header()
	typ, disposition := m.ContentType, "inline"
	if !slices.ContainsFunc(shownTypes, func(s string) bool { return strings.HasPrefix(typ, s) }) {
		typ, disposition = catalog.AnyBytes, "attachment"
	}
	if strings.HasPrefix(typ, "text/") {
		typ += "; charset=utf-8"
	}
	h.Set("Content-Type", typ)
	h.Set("Content-Disposition", disposition)
	h.Set("X-Content-Type-Options", "nosniff")
	// An SVG may hold scripts: opened by itself it runs none of them.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	h.Set("Cache-Control", "private, max-age=3600, immutable")
	h.Set("ETag", `"`+m.ID+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
}
