package httpio

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cleanPath makes every path one that http.ServeMux matches as it is, because
// the mux answers any other with a redirect, which turns a POST into a GET:
// repeated slashes become one (a base URL with a slash at its end makes them),
// and the segments "." and ".." become names like any other. Whatever was
// percent-encoded stays so: in a%2Fb the slash is part of a name.
func cleanPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		if clean := cleanEscaped(escaped); clean != escaped {
			if path, err := url.PathUnescape(clean); err == nil {
				// The request itself is changed, not a copy of it: the mux
				// leaves the matched pattern there, for the log.
				u := *r.URL
				u.Path, u.RawPath = path, clean
				r.URL = &u
			}
		}
		next.ServeHTTP(w, r)
	})
}

// cleanEscaped is cleanPath's work on the escaped form.
func cleanEscaped(p string) string {
	if strings.HasPrefix(p, "/") && !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	segments := strings.Split(p, "/")
	last := len(segments) - 1
	out := segments[:0]
	for i, s := range segments {
		switch s {
		case "":
			if i != last {
				continue
			}
		case ".":
			s = "%2E"
		case "..":
			s = "%2E%2E"
		}
		out = append(out, s)
	}
	return "/" + strings.Join(out, "/")
}

// CORS lets browsers of any origin call the paths below prefixes: scores are
// posted from pages directly. The origin is reflected and credentials are not
// allowed, so that only a caller who knows a key gets anywhere.
func CORS(next http.Handler, prefixes ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Retry-After")
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
			h.Add("Vary", "Access-Control-Request-Headers")
		}
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	})
}
