package fetch

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// server answers on loopback.
func server(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/web.container", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[Container]\n")) })
	mux.HandleFunc("/named", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="db.container"`)
		w.Write([]byte("x"))
	})
	mux.HandleFunc("/escape", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="../../etc/passwd"`)
	})
	mux.HandleFunc("/large.container", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, MaxSize+1)) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/web.container", http.StatusMovedPermanently)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestGet(t *testing.T) {
	s := server(t)
	for _, c := range []struct{ path, name, body, err string }{
		{"/web.container", "web.container", "[Container]\n", ""},
		{"/web.container?raw=1#x", "web.container", "[Container]\n", ""},
		{"/named", "db.container", "x", ""},
		{"/moved", "moved", "[Container]\n", ""},
		{"/missing.container", "", "", "the server answers 404 Not Found"},
		{"/escape", "", "", `"../../etc/passwd" is no file name`},
		{"/large.container", "", "", "more than 16777216 bytes"},
		{"/round", "", "", "redirects more than 5 times"},
		{"/", "", "", "the server answers 404"},
	} {
		got, err := Get(context.Background(), s.URL+c.path)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.path, err, c.err)
		}
		if got.Name != c.name || string(got.Body) != c.body {
			t.Errorf("%s: got %q, %.20q", c.path, got.Name, got.Body)
		}
	}
}

func TestCheckRedirect(t *testing.T) {
	from, _ := http.NewRequest("GET", "https://a.example/x", nil)
	to, _ := http.NewRequest("GET", "http://a.example/x", nil)
	if err := checkRedirect(to, []*http.Request{from}); err == nil {
		t.Error("https leads to http without a word")
	}
	if err := checkRedirect(from, []*http.Request{to}); err != nil {
		t.Error(err)
	}
}

// TestPassword: what a user types into an address is not repeated.
func TestPassword(t *testing.T) {
	address := strings.Replace(server(t).URL, "//", "//me:secret@", 1)
	for _, address := range []string{address + "/missing", "http://me:secret@bad host/"} {
		_, err := Get(context.Background(), address)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("error %v", err)
		}
	}
}

// TestNobodyThere: the address stands in the message once.
func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := Get(context.Background(), s.URL+"/x")
	if err == nil || strings.Count(err.Error(), "http://") != 1 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}
