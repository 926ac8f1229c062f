//go:build containers_image_openpgp

package image

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	auth "go.podman.io/image/v5/pkg/docker/config"
	"go.podman.io/image/v5/pkg/sysregistriesv2"
	"go.podman.io/image/v5/types"
)

// A plaintext is a place without TLS to which a registry with TLS wanted credentials sent.
type plaintext struct{ place *url.URL }

func (p plaintext) Error() string { return p.place.Redacted() + " is without TLS" }

// A guard sees each request before it is connected. The library follows a registry's redirects, token servers and upload
// locations to wherever they lead, and the language's HTTP client keeps the credentials for the same host and those below it.
type guard struct {
	sys   *types.SystemContext
	mu    sync.Mutex
	hosts map[string]bool // that must have TLS and were asked, with their ports
}

// guardCredentials has sys refuse requests that would show credentials to the network. A registry that need not have TLS may send
// them as it likes.
func guardCredentials(sys *types.SystemContext) {
	if sys.DockerInsecureSkipTLSVerify == types.OptionalBoolTrue {
		return
	}
	own := *sys
	g := &guard{sys: &own, hosts: map[string]bool{}}
	sys.DockerProxy = g.proxy
}

func (g *guard) proxy(u *url.URL) (*url.URL, error) {
	if u.Scheme == "http" && g.secret(u) && !g.insecure(u.Hostname()) {
		return nil, plaintext{u}
	}
	if u.Scheme == "https" && !g.insecure(u.Hostname()) {
		g.mu.Lock()
		g.hosts[u.Host] = true
		g.mu.Unlock()
	}
	return http.ProxyFromEnvironment(&http.Request{URL: u})
}

// secret tells whether credentials may be sent along: to a host that had them already, and to a token server. That is told the
// account, or is sent a token that the registry has given before, of which the address shows nothing.
func (g *guard) secret(u *url.URL) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for host := range g.hosts {
		name := (&url.URL{Host: host}).Hostname()
		if name == u.Hostname() || strings.HasSuffix(u.Hostname(), "."+name) {
			return true
		}
		if c, err := auth.GetCredentials(g.sys, host); err != nil || c.IdentityToken != "" {
			return true
		}
	}
	return len(g.hosts) > 0 && u.Query().Has("account")
}

// insecure tells whether registries.conf says of a registry or mirror on that host that it need not have TLS.
func (g *guard) insecure(host string) bool {
	all, err := sysregistriesv2.GetRegistries(g.sys)
	if err != nil {
		return false
	}
	for _, r := range all {
		// What is pushed goes to the host of the prefix, which may stand for all hosts of a domain (containers-registries.conf(5)).
		for _, e := range slices.Concat(r.Mirrors, []sysregistriesv2.Endpoint{r.Endpoint, {Location: r.Prefix, Insecure: r.Insecure}}) {
			at, _, _ := strings.Cut(e.Location, "/")
			name := (&url.URL{Host: at}).Hostname()
			domain, all := strings.CutPrefix(name, "*")
			if e.Insecure && name != "" && (name == host || all && strings.HasSuffix(host, domain)) {
				return true
			}
		}
	}
	return false
}
