//go:build containers_image_openpgp

package image

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/crypto/bcrypt"

	"github.com/berth-pods/berth/examples/mkimage/archive"
)

// A realRegistry is Debian's docker-registry on a loopback port, with TLS by a CA of its own and one user.
type realRegistry struct {
	host   string // HOST:PORT
	certs  string // directory with ca.crt
	client *http.Client
}

const user, password = "me", "secret"

func startRegistry(t testing.TB) realRegistry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs Debian's docker-registry: apt install docker-registry")
	}
	dir := t.TempDir()
	r := realRegistry{host: freePort(t), certs: filepath.Join(dir, "certs")}
	pool := makeCertificate(t, r.certs)
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
auth: {htpasswd: {realm: test, path: %s}}
http: {addr: %s, tls: {certificate: %s, key: %s}}
`, filepath.Join(dir, "data"), writeFile(t, "htpasswd", user+":"+string(hash)+"\n"), r.host, filepath.Join(r.certs, "ca.crt"), filepath.Join(r.certs, "server.pem"))
	var log bytes.Buffer
	c := exec.CommandContext(t.Context(), program, "serve", writeFile(t, "config.yml", config))
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	r.wait(t)
	return r
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// makeCertificate writes a certificate that signs itself, and its key, into dir.
func makeCertificate(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"ca.crt": certificate, "server.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

// wait returns when the registry accepts connections. There is no event to wait for but an answer.
func (r realRegistry) wait(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", r.host); err == nil {
			c.Close()
			return
		}
	}
	t.Fatal("docker-registry does not answer")
}

func (r realRegistry) do(t testing.TB, method, address, contentType string, data []byte, want int) *http.Response {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	q.SetBasicAuth(user, password)
	q.Header.Set("Content-Type", contentType)
	answer, err := r.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != want {
		t.Fatalf("%s %s: %s %s", method, address, answer.Status, body)
	}
	return answer
}

// push stores an image by the distribution protocol.
func (r realRegistry) push(t testing.TB, repository, tag string, i archive.Image) {
	t.Helper()
	f := imageFiles(t, archive.OCI, i)
	base := "https://" + r.host + "/v2/" + repository
	manifest := manifestOf(t, f)
	for _, n := range f.names() {
		if !strings.HasPrefix(n, "blobs/") || n == manifest {
			continue
		}
		answer := r.do(t, http.MethodPost, base+"/blobs/uploads/", "", nil, http.StatusAccepted)
		to, err := url.Parse(answer.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		query := to.Query()
		query.Set("digest", digest.FromBytes(f[n]).String())
		to.RawQuery = query.Encode()
		r.do(t, http.MethodPut, to.String(), "application/octet-stream", f[n], http.StatusCreated)
	}
	r.do(t, http.MethodPut, base+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", f[manifest], http.StatusCreated)
}

func TestPullFromRealRegistry(t *testing.T) {
	r := startRegistry(t)
	r.push(t, "team/web", "1", twoLayers(t))
	im := openStore(t)
	name := r.host + "/team/web:1"
	in := PullOptions{CertDir: r.certs, User: user, Password: password}
	for _, c := range []struct {
		name, image string
		change      func(*PullOptions)
		want        string
	}{
		{"unknown CA", name, func(o *PullOptions) { o.CertDir = "" }, "certs.d/" + r.host + "/ca.crt"},
		{"no credentials", name, func(o *PullOptions) { o.User = "" }, "give --creds USER:PASSWORD or --authfile FILE"},
		{"wrong password", name, func(o *PullOptions) { o.Password = "x" }, "wants other credentials"},
		{"no such tag", r.host + "/team/web:9", func(*PullOptions) {}, "has no image of this name and tag"},
		{"no such repository", r.host + "/nope", func(*PullOptions) {}, "has no "},
		{"right", name, func(*PullOptions) {}, ""},
		{"credentials from a file", name, func(o *PullOptions) {
			o.User, o.AuthFile = "", writeFile(t, "auth.json", `{"auths":{"`+r.host+`":{"auth":"bWU6c2VjcmV0"}}}`)
		}, ""},
		{"without verification", name, func(o *PullOptions) { no := false; o.CertDir, o.TLSVerify = "", &no }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := in
			c.change(&o)
			_, err := im.Pull(t.Context(), c.image, o)
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			t.Log(err)
			if c.want != "" {
				mustBeEmpty(t, im)
			}
		})
	}
	if d, err := im.Inspect(name); err != nil || d.User != "7:8" {
		t.Errorf("%+v, %v", d, err)
	}
}

// moveSignature stores another image under repository tampered, with the signature of repository:tag.
func (r realRegistry) moveSignature(t *testing.T, repository, tag, tampered string) {
	t.Helper()
	base := "https://" + r.host + "/v2/"
	get := func(repository, what, accept string) ([]byte, string) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+repository+what, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.SetBasicAuth(user, password)
		q.Header.Set("Accept", accept)
		a, err := r.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		data, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s%s: %s %s %v", repository, what, a.Status, data, err)
		}
		return data, a.Header.Get("Content-Type")
	}
	const oci = "application/vnd.oci.image.manifest.v1+json"
	signed, _ := get(repository, "/manifests/"+tag, oci)
	attachment, _ := get(repository, "/manifests/sha256-"+digest.FromBytes(signed).Encoded()+".sig", oci)
	r.push(t, tampered, "1", archive.Image{Arch: "amd64", Layers: []archive.Blob{layer(t, "bad", "bad")}})
	bad, _ := get(tampered, "/manifests/1", oci)
	var m struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(attachment, &m); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{m.Config.Digest, m.Layers[0].Digest} {
		r.do(t, http.MethodPost, base+tampered+"/blobs/uploads/?mount="+d+"&from="+repository, "", nil, http.StatusCreated)
	}
	r.do(t, http.MethodPut, base+tampered+"/manifests/sha256-"+digest.FromBytes(bad).Encoded()+".sig", oci, attachment, http.StatusCreated)
}
