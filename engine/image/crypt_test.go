//go:build containers_image_openpgp

package image

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A cryptKeys is two files, and a third with the private key under the password sesame.
type cryptKeys struct{ private, public, locked string }

func newCryptKeys(t *testing.T) cryptKeys {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private := x509.MarshalPKCS1PrivateKey(key)
	//nolint:staticcheck // what openssl rsa -aes256 -traditional writes, which people have
	locked, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", private, []byte("sesame"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, b *pem.Block) string { return writeFile(t, name, string(pem.EncodeToMemory(b))) }
	return cryptKeys{
		file("key.pem", &pem.Block{Type: "RSA PRIVATE KEY", Bytes: private}), file("pub.pem", &pem.Block{Type: "PUBLIC KEY", Bytes: public}), file("locked.pem", locked),
	}
}

// encrypted is a layout with the image of two layers, and the ID that the image had.
func encrypted(t *testing.T, o PushOptions) (dir, id string) {
	t.Helper()
	im := openStore(t)
	r := newRegistry(t)
	r.add(t, "web:1", twoLayers(t))
	id = pullOne(t, im, r.host()+"/web:1", PullOptions{})
	dir = filepath.Join(t.TempDir(), "layout")
	if _, err := im.Push(t.Context(), id, "oci:"+dir+":web", o); err != nil {
		t.Fatal(err)
	}
	return dir, id
}

// sealed counts the layers in a layout that are encrypted.
func sealed(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	files, _ := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(data), "+encrypted")
	}
	return n
}

func TestEncryptedImage(t *testing.T) {
	mine, other := newCryptKeys(t), newCryptKeys(t)
	dir, id := encrypted(t, PushOptions{EncryptionKeys: []string{"jwe:" + mine.public}})
	if n := sealed(t, dir); n != 2 {
		t.Fatalf("%d layers are encrypted, want 2", n)
	}
	password := writeFile(t, "password", "sesame")
	for _, c := range []struct {
		name, key, want string
	}{
		{"no key", "", "its layers are encrypted: give the key with --decryption-key FILE"},
		{"another's", other.private, "is encrypted, and no --decryption-key opens it: its key is sealed with jwe, for another one"},
		{"a public one", mine.public, "--decryption-key " + mine.public + ": no private key or certificate that can be read is in this file"},
		{"no file", "/none:hush", "--decryption-key /none: open /none: no such file or directory"},
		{"locked", mine.locked, "--decryption-key " + mine.locked + ": missing password"},
		{"wrong password", mine.locked + ":hush", "--decryption-key " + mine.locked + ": wrong password"},
		{"colon in the password", mine.locked + ":pass=hu:sh", "the password has a colon"},
		{"mine", mine.private, ""},
		{"password", mine.locked + ":sesame", ""},
		{"password with pass=", mine.locked + ":pass=sesame", ""},
		{"password in a file", mine.locked + ":file=" + password, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := openStore(t)
			o := PullOptions{}
			if c.key != "" {
				o.DecryptionKeys = []string{c.key}
			}
			ids, err := im.Pull(t.Context(), "oci:"+dir+":web", o)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hu") && strings.Contains(err.Error(), "sh ") {
					t.Errorf("error %v, want %q", err, c.want)
				}
				mustBeEmpty(t, im)
				return
			}
			if err != nil || len(ids) != 1 || ids[0] != id {
				t.Fatalf("%q, %v; want %s", ids, err, id)
			}
			if got := fileInImage(t, im, id, "upper"); got != strings.Repeat("two", 5000) {
				t.Errorf("a file has %d bytes, not those it had", len(got))
			}
		})
	}
	im := openStore(t)
	if _, err := im.Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "its layers are encrypted") {
		t.Errorf("load: %v", err)
	}
	mustBeEmpty(t, im)
}

// One layer is encrypted, for two; the other can be read by all.
func TestEncryptedLayer(t *testing.T) {
	a, b := newCryptKeys(t), newCryptKeys(t)
	dir, id := encrypted(t, PushOptions{EncryptionKeys: []string{"jwe:" + a.public, "jwe:" + b.public}, EncryptLayers: []int{-1}})
	if n := sealed(t, dir); n != 1 {
		t.Errorf("%d layers are encrypted, want 1", n)
	}
	for _, k := range []cryptKeys{a, b} {
		im := openStore(t)
		if ids, err := im.Pull(t.Context(), "oci:"+dir, PullOptions{DecryptionKeys: []string{k.private}}); err != nil || ids[0] != id {
			t.Errorf("%q, %v", ids, err)
		}
	}
}

// A registry is not asked for a layer of an image that no key opens, and what is pulled has the name and the digest that it
// has there.
func TestPullEncrypted(t *testing.T) {
	mine, other := newCryptKeys(t), newCryptKeys(t)
	real := startRegistry(t)
	real.push(t, "web", "plain", twoLayers(t))
	im := openStore(t)
	o := PullOptions{CertDir: real.certs, User: user, Password: password}
	name := real.host + "/web:"
	ids, err := im.Pull(t.Context(), name+"plain", o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := im.Push(t.Context(), name+"plain", name+"sealed", PushOptions{Registry: Registry{CertDir: real.certs, User: user, Password: password}, EncryptionKeys: []string{"jwe:" + mine.public}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := im.Remove(name+"plain", RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	link := newBadLink(t, real.host)
	o.DecryptionKeys = []string{other.private}
	if _, err := im.Pull(t.Context(), link.host()+"/web:sealed", o); err == nil || !strings.Contains(err.Error(), "no --decryption-key opens it") {
		t.Errorf("error %v", err)
	}
	mustBeEmpty(t, im)
	if left, _ := filepath.Glob(im.partialDir() + "/*"); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	o.DecryptionKeys = append(o.DecryptionKeys, mine.private)
	for _, s := range []string{"web:sealed", "web@" + d.String()} {
		got, err := im.Pull(t.Context(), real.host+"/"+s, o)
		if err != nil || got[0] != ids[0] {
			t.Fatalf("%s: %q, %v; want %q", s, got, err, ids)
		}
	}
	for _, s := range []string{"web:sealed", "web@" + d.String()} {
		if there, _ := im.Exists(real.host + "/" + s); !there {
			t.Errorf("%s is not found", s)
		}
	}
	o.Policy, o.DecryptionKeys = Newer, nil
	if _, err := im.Pull(t.Context(), name+"sealed", o); err != nil {
		t.Errorf("what is here is fetched again: %v", err)
	}
}
