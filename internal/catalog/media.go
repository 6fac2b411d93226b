package catalog

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// The kinds of media: a content, and what it stands in.
const (
	kindMedia     = "media"
	kindMediaLink = "medialink"
	kindSecret    = "secret"
)

// Media is a content that stands in inputs, outputs or metadata. Its bytes are
// kept elsewhere, by their hash.
type Media struct {
	ID            string // MediaID
	Hash          string // SHA-256 in standard base64, as clients send it
	ContentType   string
	ContentLength int64
	UploadedAt    domain.Time // not set until the content has come
	UploadError   string      // what the client told of an upload that failed
	CreatedAt     domain.Time
	UpdatedAt     domain.Time
}

// storedMedia is a content on disk. Its names never change.
type storedMedia struct {
	Hash          string `json:"sha256Hash"`
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
	UploadedAt    int64  `json:"uploadedAt,omitempty"`
	UploadError   string `json:"uploadError,omitempty"`
	CreatedAt     int64  `json:"createdAt"`
	UpdatedAt     int64  `json:"updatedAt"`
}

// MediaLink says what a content stands in: a field of a trace or of an
// observation, or of a dataset's item, which need not exist yet.
type MediaLink struct {
	Media         string `json:"media"`
	Field         string `json:"field"` // input, output, expectedOutput, metadata
	TraceID       string `json:"traceId,omitempty"`
	ObservationID string `json:"observationId,omitempty"`
	DatasetID     string `json:"datasetId,omitempty"`
	ItemID        string `json:"datasetItemId,omitempty"`
}

// mediaIDLength is how much of a hash is an id. SDKs compute it too.
const mediaIDLength = 22

// MediaID is the id of a content: the beginning of its hash in the base64 of
// URLs. It is domain.Invalid for what is no SHA-256.
func MediaID(hash string) (string, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(hash)
	if err != nil || len(raw) != 32 {
		return "", invalid("sha256Hash", "must be the SHA-256 of the content in base64, which is 44 characters long")
	}
	return base64.RawURLEncoding.EncodeToString(raw)[:mediaIDLength], nil
}

// mediaTypes is what content types Langfuse knows; any other counts as bytes.
var mediaTypes = func() map[string]bool {
	known := map[string]bool{}
	for family, names := range map[string]string{
		"image": "png jpeg jpg webp gif svg+xml tiff bmp avif heic",
		"audio": "mpeg mp3 wav ogg oga aac mp4 flac opus webm",
		"video": "mp4 webm ogg mpeg quicktime x-msvideo x-matroska",
		"text":  "plain html css csv markdown x-python x-typescript",
		"application": "javascript x-yaml pdf msword vnd.ms-excel zip json xml octet-stream rtf x-ndjson vnd.apache.parquet gzip x-tar x-7z-compressed " +
			"vnd.openxmlformats-officedocument.spreadsheetml.sheet vnd.openxmlformats-officedocument.wordprocessingml.document " +
			"vnd.openxmlformats-officedocument.presentationml.presentation",
	} {
		for name := range strings.FieldsSeq(names) {
			known[family+"/"+name] = true
		}
	}
	return known
}()

// AnyBytes is the type of contents of which nothing more is known.
const AnyBytes = "application/octet-stream"

// AnnounceMedia notes that a content of that hash, type and length is to come,
// or that it has come and stands in one thing more. UploadedAt tells which.
func (c *Catalog) AnnounceMedia(ctx context.Context, project string, n Media, link MediaLink) (m Media, err error) {
	id, err := MediaID(n.Hash)
	if err != nil {
		return m, err
	}
	fields := []string{"input", "output", "metadata"}
	if link.DatasetID != "" {
		fields[1] = "expectedOutput"
	}
	switch {
	case n.ContentLength <= 0:
		return m, invalid("contentLength", "must be a whole number above 0")
	case n.ContentType == "":
		return m, invalid("contentType", "is required")
	case !slices.Contains(fields, link.Field):
		return m, invalid("field", "must be one of "+strings.Join(fields, ", "))
	case link.DatasetID == "" && link.TraceID == "":
		return m, invalid("traceId", "is required, or datasetId with datasetItemId")
	case link.DatasetID != "" && link.ItemID == "":
		return m, invalid("datasetItemId", "is required with datasetId")
	}
	if !mediaTypes[n.ContentType] {
		n.ContentType = AnyBytes
	}
	link.Media = id
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		if link.DatasetID != "" {
			if _, err := getDataset(tx, link.DatasetID); err != nil {
				return err
			}
		}
		now := domain.TimeOf(c.now())
		m, err = getMedia(tx, id)
		if domain.CodeOf(err) == domain.NotFound {
			m, err = Media{ID: id, Hash: n.Hash, CreatedAt: now}, nil
		}
		if err != nil {
			return err
		}
		if m.ContentType != n.ContentType || m.ContentLength != n.ContentLength {
			// What was announced otherwise before is announced anew.
			m.ContentType, m.ContentLength, m.UploadedAt, m.UpdatedAt = n.ContentType, n.ContentLength, domain.Time{}, now
			if err := putMedia(tx, &m); err != nil {
				return err
			}
		}
		return put(tx, kindMediaLink, link.id(), link, link.keys()...)
	})
	return m, err
}

func (l *MediaLink) id() string {
	return strings.Join([]string{l.Media, l.Field, domain.TraceKey(l.TraceID), l.ObservationID, l.DatasetID, l.ItemID}, "|")
}

func (l *MediaLink) keys() []store.Key {
	keys := []store.Key{{Name: "media", Value: l.Media}}
	if l.TraceID != "" {
		keys = append(keys, store.Key{Name: "trace", Value: domain.TraceKey(l.TraceID)})
	}
	if l.ItemID != "" {
		keys = append(keys, store.Key{Name: "item", Value: l.ItemID})
	}
	return keys
}

// ReceiveMedia notes that a content has come; domain.NotFound where it was not
// announced.
func (c *Catalog) ReceiveMedia(ctx context.Context, project, id string) error {
	return c.changeMedia(ctx, project, id, func(m *Media, now domain.Time) {
		m.UploadedAt, m.UploadError = now, ""
	})
}

// MediaFailed notes what a client tells of an upload; of a content that has
// come it is not believed. domain.NotFound.
func (c *Catalog) MediaFailed(ctx context.Context, project, id string, status int, reason string) error {
	return c.changeMedia(ctx, project, id, func(m *Media, _ domain.Time) {
		if !m.UploadedAt.IsSet() && (status < 200 || status > 299) {
			m.UploadError = fmt.Sprintf("%d %.500s", status, reason)
		}
	})
}

func (c *Catalog) changeMedia(ctx context.Context, project, id string, change func(m *Media, now domain.Time)) error {
	return c.records.Tx(ctx, project, func(tx store.Tx) error {
		m, err := getMedia(tx, id)
		if err != nil {
			return err
		}
		before := m
		change(&m, domain.TimeOf(c.now()))
		if m == before {
			return nil
		}
		m.UpdatedAt = domain.TimeOf(c.now())
		return putMedia(tx, &m)
	})
}

// Media reads one, whether its content has come or not; domain.NotFound.
func (c *Catalog) Media(ctx context.Context, project, id string) (m Media, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		m, err = getMedia(tx, id)
		return err
	})
	return m, err
}

func getMedia(tx store.Tx, id string) (Media, error) {
	r, err := tx.Get(kindMedia, id)
	if domain.CodeOf(err) == domain.NotFound {
		return Media{}, domain.Errorf(domain.NotFound, "Media asset not found")
	}
	if err != nil {
		return Media{}, err
	}
	var s storedMedia
	if err := decode(r, &s); err != nil {
		return Media{}, err
	}
	return Media{
		UploadedAt: timeOf(s.UploadedAt), ID: r.ID, Hash: s.Hash, ContentType: s.ContentType, ContentLength: s.ContentLength, UploadError: s.UploadError,
		CreatedAt: domain.At(s.CreatedAt), UpdatedAt: domain.At(s.UpdatedAt),
	}, nil
}

func putMedia(tx store.Tx, m *Media) error {
	return put(tx, kindMedia, m.ID, storedMedia{
		Hash: m.Hash, ContentType: m.ContentType, ContentLength: m.ContentLength, UploadError: m.UploadError,
		UploadedAt: nanosOf(m.UploadedAt), CreatedAt: m.CreatedAt.Nanos(), UpdatedAt: m.UpdatedAt.Nanos(),
	})
}

// ForgetMedia takes contents out of traces that are deleted, and returns those
// that now stand in nothing of the project and that it has no record of any more.
func (c *Catalog) ForgetMedia(ctx context.Context, project string, traces []string) (gone []Media, err error) {
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		gone = nil
		var links, media []string
		for _, id := range traces {
			for r, err := range tx.Find(kindMediaLink, "trace", domain.TraceKey(id), "") {
				var l MediaLink
				if err == nil {
					err = decode(r, &l)
				}
				if err != nil {
					return err
				}
				links, media = append(links, r.ID), append(media, l.Media)
			}
		}
		for _, id := range links {
			if err := tx.Delete(kindMediaLink, id); err != nil {
				return err
			}
		}
		for _, id := range unique(media) {
			m, err := forgetUnlinked(tx, id)
			if err != nil {
				return err
			}
			gone = append(gone, m...)
		}
		return nil
	})
	return gone, err
}

// forgetUnlinked deletes the record of a content that stands in nothing.
func forgetUnlinked(tx store.Tx, id string) ([]Media, error) {
	for _, err := range tx.Entries(kindMediaLink, "media", id, "") {
		return nil, err
	}
	m, err := getMedia(tx, id)
	if domain.CodeOf(err) == domain.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []Media{m}, tx.Delete(kindMedia, id)
}

// HoldsMedia reports whether any project has the content.
func (c *Catalog) HoldsMedia(ctx context.Context, id string) (bool, error) {
	projects, err := c.Projects(ctx)
	if err != nil {
		return false, err
	}
	for _, p := range projects {
		m, err := c.Media(ctx, p.ID, id)
		if err == nil && m.UploadedAt.IsSet() {
			return true, nil
		}
		if err != nil && domain.CodeOf(err) != domain.NotFound {
			return false, err
		}
	}
	return false, nil
}

// Secret is the instance's own secret of that name, 32 random bytes that are
// made the first time they are asked for. It never leaves the server.
func (c *Catalog) Secret(ctx context.Context, name string) (secret []byte, err error) {
	type storedSecret struct {
		Secret []byte `json:"secret"`
	}
	err = c.records.Tx(ctx, instance, func(tx store.Tx) error {
		var s storedSecret
		found, err := get(tx, kindSecret, name, &s)
		if err == nil && !found {
			s.Secret = make([]byte, 32)
			_, _ = rand.Read(s.Secret) // never fails
			err = put(tx, kindSecret, name, s)
		}
		secret = s.Secret
		return err
	})
	return secret, err
}
