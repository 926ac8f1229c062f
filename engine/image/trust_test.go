//go:build containers_image_openpgp

package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func accountsWith(t *testing.T, policy string) *Accounts {
	t.Helper()
	isolate(t)
	a := OpenAccounts()
	a.UsePolicy(writeFile(t, "policy.json", policy))
	return a
}

// gpgHome makes a key and returns the file with its public part.
func gpgHome(t *testing.T, who string) string {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not there, which makes keys and signs")
	}
	home, err := os.MkdirTemp("/tmp", "gpg") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	t.Setenv("GNUPGHOME", home)
	file := filepath.Join(t.TempDir(), "key.asc")
	for _, args := range [][]string{
		{"--batch", "--passphrase", "", "--quick-generate-key", who, "rsa2048", "sign", "never"},
		{"--batch", "--armor", "--output", file, "--export", who},
	} {
		if out, err := exec.Command("gpg", args...).CombinedOutput(); err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, out)
		}
	}
	return file
}

func TestTrust(t *testing.T) {
	key := gpgHome(t, "me@example.com")
	a := accountsWith(t, `{"default":[{"type":"reject"}],"transports":{"oci":{"/x":[{"type":"insecureAcceptAnything"}]}}}`)
	for _, err := range []error{
		a.SetTrust("default", "accept", nil),
		a.SetTrust("reg.example:5000", "signedBy", []string{key}),
		a.SetTrust("reg.example:5000/open", "accept", nil),
		a.SetTrust("*.example.com", "reject", nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := a.TrustList("")
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, l := range list {
		short = append(short, l.Transport+" "+l.Repo+" "+l.Type)
	}
	want := []string{"all default accept", "repository *.example.com reject", "repository reg.example:5000 signed", "repository reg.example:5000/open accept", "oci /x accept"}
	if !slices.Equal(short, want) {
		t.Errorf("%q, want %q", short, want)
	}
	if s := list[2]; len(s.ID) != 40 || s.Keys[0] != key || s.Store != "file:///var/lib/containers/sigstore" {
		t.Errorf("%+v", s)
	}
	for name, want := range map[string]string{
		"reg.example:5000/open/web:1": "reg.example:5000/open", "reg.example:5000/web:1": "reg.example:5000", "reg.example:5000": "reg.example:5000",
		"a.b.example.com/x": "*.example.com", "example.com/x": "default", "reg.example/x": "default",
	} {
		if found, err := a.TrustList(name); err != nil || len(found) != 1 || found[0].Repo != want {
			t.Errorf("about %s decides %+v, %v, want %s", name, found, err, want)
		}
	}
}

// What would make policy.json unreadable is not written.
func TestTrustErrors(t *testing.T) {
	a := accountsWith(t, openPolicy)
	empty := writeFile(t, "no-key", "this is none")
	for _, c := range []struct {
		scope, kind string
		keys        []string
		want        string
	}{
		{"x", "maybe", nil, "use accept, reject, signedBy or sigstoreSigned"},
		{"x", "signedBy", nil, "needs the key"},
		{"x", "accept", []string{empty}, "takes no keys"},
		{"x", "signedBy", []string{"/no/such/key"}, "there is no file /no/such/key"},
		{"x", "signedBy", []string{empty}, "there is no GPG key in it"},
		{"https://reg.example", "accept", nil, "is no registry"},
	} {
		if err := a.SetTrust(c.scope, c.kind, c.keys); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if text, err := a.RawPolicy(); err != nil || text != openPolicy {
		t.Errorf("the policy is now %s, %v", text, err)
	}
}

// TestSign: what is signed with the key that the policy names is pulled. What is not signed, signed with another key, signed
// under another name, or has another content than what was signed, is not.
func TestSign(t *testing.T) {
	other := gpgHome(t, "other@example.com")
	key := gpgHome(t, "me@example.com")
	r := startRegistry(t)
	im := openStore(t)
	loadWeb(t, im)
	im.sys.RegistriesDirPath = t.TempDir()
	sigs := t.TempDir()
	err := os.WriteFile(im.sys.RegistriesDirPath+"/r.yaml", []byte("docker:\n  "+r.host+":\n    lookaside: file://"+sigs+"\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	accept := func(keyFile string) string {
		return writeFile(t, "policy.json", `{"default":[{"type":"reject"}],"transports":{"docker":{"`+r.host+`":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"`+keyFile+`"}]}}}`)
	}
	push := func(name, by string) {
		t.Helper()
		if _, err := im.Push(t.Context(), "web", r.host+"/"+name, PushOptions{Registry: r.access(), SignBy: by, RemoveSignatures: true}); err != nil {
			t.Fatal(err)
		}
	}
	pull := func(name string) error {
		_, err := im.Pull(t.Context(), r.host+"/"+name, r.pull())
		return err
	}
	push("signed:1", "me@example.com")
	push("unsigned:1", "")
	im.sys.SignaturePolicyPath = accept(key)
	if err := pull("signed:1"); err != nil {
		t.Errorf("signed: %v", err)
	}
	if err := pull("unsigned:1"); err == nil || !strings.Contains(err.Error(), "refused by the signature policy: A signature was required, but no signature exists") {
		t.Errorf("unsigned: %v", err)
	}
	a := &Accounts{*im}
	if err := a.Sign(t.Context(), r.host+"/unsigned:1", SignOptions{Registry: r.access(), Key: "me@example.com"}); err != nil {
		t.Fatal(err)
	}
	if err := pull("unsigned:1"); err != nil {
		t.Errorf("signed later: %v", err)
	}
	im.sys.SignaturePolicyPath = accept(other)
	if err := pull("signed:1"); err == nil || !strings.Contains(err.Error(), "refused by the signature policy") {
		t.Errorf("wrong key: %v", err)
	}
	im.sys.SignaturePolicyPath = accept(key)
	all, _ := filepath.Glob(sigs + "/signed@sha256=*")
	good, err := os.ReadFile(all[0] + "/signature-1")
	if err != nil {
		t.Fatal(err)
	}
	for what, sig := range map[string][]byte{"cut short": good[:100], "changed": append(append(slices.Clone(good[:200]), 'X', 'X'), good[202:]...), "empty": {}, "rubbish": []byte("rubbish")} {
		if err := os.WriteFile(all[0]+"/signature-1", sig, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := pull("signed:1"); err == nil || !strings.Contains(err.Error(), "refused by the signature policy") && !strings.Contains(err.Error(), "parsing signature") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.WriteFile(all[0]+"/signature-1", good, 0o644); err != nil {
		t.Fatal(err)
	}
	push("moved:1", "")
	if err := os.Rename(all[0], strings.Replace(all[0], "/signed@", "/moved@", 1)); err != nil {
		t.Fatal(err)
	}
	if err := pull("moved:1"); err == nil || !strings.Contains(err.Error(), "refused by the signature policy") {
		t.Errorf("signed under another name: %v", err)
	}
	for want, o := range map[string]SignOptions{
		"--sign-by KEY":           {},
		"with the key \"nobody\"": {Key: "nobody"},
		"no such directory":       {Key: "me@example.com", Directory: "/no/such"},
	} {
		o.Registry = r.access()
		if err := a.Sign(t.Context(), r.host+"/unsigned:1", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
