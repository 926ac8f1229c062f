//go:build containers_image_openpgp

package image

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/types"
)

const secretWord = "s3cr3t"

// An onlooker answers from another server's memory, and notes whether it was shown credentials.
type onlooker struct {
	*httptest.Server
	asked, shown bool
}

func newOnlooker(t *testing.T, answer http.HandlerFunc) *onlooker {
	t.Helper()
	o := &onlooker{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		o.asked = true
		o.shown = o.shown || q.Header.Get("Authorization") != "" || q.FormValue("refresh_token") != ""
		answer(w, q)
	}))
	t.Cleanup(o.Close)
	return o
}

// newSecureRegistry has TLS, and wants user and password; unauthorized answers those who do not give them.
func newSecureRegistry(t *testing.T, unauthorized func(http.ResponseWriter)) (r *registry, in PullOptions) {
	t.Helper()
	r = newRegistry(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") == "" {
			unauthorized(w)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.serve(w, q)
	}))
	t.Cleanup(secure.Close)
	certs := t.TempDir()
	if err := os.WriteFile(filepath.Join(certs, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r.URL = secure.URL
	return r, PullOptions{CertDir: certs, User: "me", Password: secretWord}
}

// elsewhere is the same server, as another host.
func elsewhere(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }

func basic(w http.ResponseWriter) { w.Header().Set("WWW-Authenticate", `Basic realm="r"`) }

// TestCredentialsStayEncrypted: what a registry with TLS is given goes nowhere without, whatever it answers. Where
// TLS is not wanted, the control, it does.
func TestCredentialsStayEncrypted(t *testing.T) {
	token := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"token":"t"}`)) }
	for what, attack := range map[string]func(t *testing.T) (r *registry, in PullOptions, o *onlooker){
		"a token server without TLS": func(t *testing.T) (*registry, PullOptions, *onlooker) {
			o := newOnlooker(t, token)
			r, in := newSecureRegistry(t, func(w http.ResponseWriter) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+o.URL+`/token",service="s"`)
			})
			return r, in, o
		},
		"a token server without TLS elsewhere": func(t *testing.T) (*registry, PullOptions, *onlooker) {
			o := newOnlooker(t, token)
			r, in := newSecureRegistry(t, func(w http.ResponseWriter) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere(o.URL)+`/token",service="s"`)
			})
			return r, in, o
		},
		"a token server without TLS elsewhere, and a token to show there": func(t *testing.T) (*registry, PullOptions, *onlooker) {
			o := newOnlooker(t, token)
			r, in := newSecureRegistry(t, func(w http.ResponseWriter) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+elsewhere(o.URL)+`/token",service="s"`)
			})
			in.User, in.Password = "", ""
			in.AuthFile = writeFile(t, "auth.json", fmt.Sprintf(`{"auths":{%q:{"auth":"bWU6","identitytoken":%q}}}`, strings.TrimPrefix(r.URL, "https://"), secretWord))
			return r, in, o
		},
		"a redirect": func(t *testing.T) (*registry, PullOptions, *onlooker) {
			r, in := newSecureRegistry(t, basic)
			o := newOnlooker(t, r.serve)
			r.refuse = func(w http.ResponseWriter, q *http.Request) bool {
				if q.TLS == nil {
					return false
				}
				http.Redirect(w, q, o.URL+q.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
			return r, in, o
		},
	} {
		for _, insecure := range []string{"", "--tls-verify=false", "registries.conf"} {
			im := openStore(t)
			r, in, o := attack(t)
			switch insecure {
			case "--tls-verify=false":
				no := false
				in.TLSVerify = &no
			case "registries.conf":
				setRegistries(t, fmt.Sprintf("[[registry]]\nlocation=%q\ninsecure=true\n", strings.TrimPrefix(r.URL, "https://")))
			}
			r.add(t, "web:1", twoLayers(t))
			_, err := im.Pull(t.Context(), strings.TrimPrefix(r.URL, "https://")+"/web:1", in)
			if o.shown != (insecure != "") {
				t.Errorf("%s, %q: the onlooker was shown credentials: %t (%v)", what, insecure, o.shown, err)
			}
			if insecure == "" && (err == nil || !strings.Contains(err.Error(), "without TLS")) {
				t.Errorf("%s: error %v, want one that says what the registry wants", what, err)
			}
		}
	}
}

// TestInsecurePlaces: a registry that need not have TLS is known by where it is, by the name that it is asked for, and by its domain.
func TestInsecurePlaces(t *testing.T) {
	setRegistries(t, `
[[registry]]
prefix = "*.corp.example"
insecure = true
[[registry]]
prefix = "front.example:5000/team"
location = "back.example"
insecure = true
[[registry.mirror]]
location = "mirror.example"
[[registry.mirror]]
location = "plain.example:80/x"
insecure = true
[[registry]]
location = "safe.example"
`)
	g := &guard{sys: &types.SystemContext{SystemRegistriesConfPath: os.Getenv("CONTAINERS_REGISTRIES_CONF")}}
	for host, want := range map[string]bool{
		"a.corp.example": true, "a.b.corp.example": true, "corp.example": false, "acorp.example": false, "front.example": true, "back.example": true,
		"mirror.example": false, "plain.example": true, "safe.example": false, "": false,
	} {
		if got := g.insecure(host); got != want {
			t.Errorf("%s: insecure %t", host, got)
		}
	}
}

// TestCredentialsWaitForTheCertificate: who cannot show a certificate is asked nothing.
func TestCredentialsWaitForTheCertificate(t *testing.T) {
	im := openStore(t)
	asked := false
	r, in := newSecureRegistry(t, func(w http.ResponseWriter) { asked = true; basic(w) })
	r.add(t, "web:1", twoLayers(t))
	name := strings.TrimPrefix(r.URL, "https://") + "/web:1"
	for _, certs := range []string{t.TempDir(), in.CertDir} { // the second is the control
		known := certs == in.CertDir
		o := in
		o.CertDir = certs
		if _, err := im.Pull(t.Context(), name, o); (err == nil) != known || asked != known {
			t.Errorf("certificate known %t: asked %t, %v", known, asked, err)
		}
	}
}

// TestCredentialsAreNotForForeignLayers: a layer that a manifest says is elsewhere is fetched there, by nobody in particular.
func TestCredentialsAreNotForForeignLayers(t *testing.T) {
	im := openStore(t)
	r, in := newSecureRegistry(t, basic)
	o := newOnlooker(t, r.serve)
	o.URL = elsewhere(o.URL)
	d := r.add(t, "web:1", twoLayers(t))
	var m map[string]any
	if err := json.Unmarshal(r.blobs[d], &m); err != nil {
		t.Fatal(err)
	}
	first := m["layers"].([]any)[0].(map[string]any)
	first["urls"] = []string{o.URL + "/v2/web/blobs/" + first["digest"].(string)}
	changed, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	dd := digest.FromBytes(changed).String()
	r.blobs[dd], r.tags["web:1"], r.types[dd] = changed, dd, r.types[d]
	if _, err := im.Pull(t.Context(), strings.TrimPrefix(r.URL, "https://")+"/web:1", in); err != nil {
		t.Fatal(err)
	}
	if !o.asked || o.shown {
		t.Errorf("the foreign server was asked: %t, and shown credentials: %t", o.asked, o.shown)
	}
}
